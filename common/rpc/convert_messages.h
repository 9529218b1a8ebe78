#pragma once

#include "absl/status/statusor.h"
#include "arcshard/v1/coordinator.pb.h"
#include "common/protocol/messages.h"
#include "common/rpc/convert_reports.h"

// Between what participants and coordinator say and their messages; convert.h and
// convert_reports.h have what these are made of.
namespace arcshard {

v1::ParticipantMessage ToProto(const ParticipantMessage& message);
v1::CoordinatorMessage ToProto(const CoordinatorMessage& message);

// InvalidArgument: names the field that is missing or out of range.
absl::StatusOr<ParticipantMessage> FromProto(const v1::ParticipantMessage& message);
absl::StatusOr<CoordinatorMessage> FromProto(const v1::CoordinatorMessage& message);

}  // namespace arcshard
