#pragma once

#include "absl/status/statusor.h"
#include "arcshard/v1/coordinator.pb.h"
#include "coordinator/messages.h"
#include "coordinator/progress.h"

// Between the coordinator's values and their messages; common/rpc/convert.h has the rest.
namespace arcshard::coordinator {

// InvalidArgument: names the field that is missing or out of range.
absl::StatusOr<ParticipantMessage> FromProto(const v1::ParticipantMessage& message);

v1::CoordinatorMessage ToProto(const CoordinatorMessage& message);
v1::Progress ToProto(const Progress& progress);

}  // namespace arcshard::coordinator
