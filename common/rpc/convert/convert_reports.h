#pragma once

#include "absl/status/statusor.h"
#include "arcshard/v1/coordinator.pb.h"
#include "common/protocol/messages.h"

// Converts reports to and from protobuf: verifications, a process's statistics, its part of a checkpoint.
namespace arcshard {

inline constexpr int kMostFilesOfAPart = 16;  // in a participant's part of a checkpoint

v1::Verification ToProto(const VerificationReport& report);
v1::ParticipantStats ToProto(const ParticipantStats& stats);
v1::PhaseTime ToProto(const PhaseTime& phase);
v1::CheckpointReport ToProto(const CheckpointReport& report);

// Figures change no result, so none of them ends a run: a phase that cannot be is left out, and so are accept rates and
// awaited shards beyond what is taken; an impossible time is 0; `odd` counts them.
ParticipantStats FromProto(const v1::ParticipantStats& message);
VerificationReport FromProto(const v1::Verification& message);

// InvalidArgument: more files than coordinator.proto allows, or an impossible number or name; the message names the
// field.
absl::StatusOr<CheckpointReport> FromProto(const v1::CheckpointReport& message);

}  // namespace arcshard
