#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "arcshard/v1/coordinator.pb.h"
#include "common/protocol/messages.h"
#include "common/rpc/convert/convert_reports.h"

// Converts the messages between participants and coordinator to and from protobuf. The other files here convert their
// parts.
namespace arcshard {

v1::ParticipantMessage ToProto(const ParticipantMessage& message);
// The messages to send for `message`, in order: one, or several for a large CheckpointReport.
std::vector<v1::ParticipantMessage> ToProtos(const ParticipantMessage& message);
v1::CoordinatorMessage ToProto(const CoordinatorMessage& message);

// InvalidArgument: a field is missing or out of range; the message names it.
absl::StatusOr<ParticipantMessage> FromProto(const v1::ParticipantMessage& message);
absl::StatusOr<CoordinatorMessage> FromProto(const v1::CoordinatorMessage& message);

}  // namespace arcshard
