#pragma once

#include "absl/status/statusor.h"
#include "arcshard/v1/coordinator.pb.h"
#include "common/protocol/messages.h"

// Between what was measured and its messages: verifications and what a process says of itself.
namespace arcshard {

v1::Verification ToProto(const VerificationReport& report);
v1::ParticipantStats ToProto(const ParticipantStats& stats);
v1::PhaseTime ToProto(const PhaseTime& phase);

// InvalidArgument: more than coordinator.proto allows, or a number or name that cannot be; names the field.
absl::StatusOr<VerificationReport> FromProto(const v1::Verification& message);
absl::StatusOr<ParticipantStats> FromProto(const v1::ParticipantStats& message);

}  // namespace arcshard
