#pragma once

#include "absl/status/statusor.h"
#include "arcshard/v1/coordinator.pb.h"
#include "common/protocol/messages.h"

// Between what participants and coordinator say and their messages; convert.h has what these are made of.
namespace arcshard {

v1::ParticipantMessage ToProto(const ParticipantMessage& message);
v1::CoordinatorMessage ToProto(const CoordinatorMessage& message);
v1::Verification ToProto(const VerificationReport& report);

// InvalidArgument: names the field that is missing or out of range.
absl::StatusOr<ParticipantMessage> FromProto(const v1::ParticipantMessage& message);
absl::StatusOr<CoordinatorMessage> FromProto(const v1::CoordinatorMessage& message);

}  // namespace arcshard
