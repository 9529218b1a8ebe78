#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "arcshard/v1/coordinator.pb.h"
#include "common/protocol/checkpoint_report.h"

// A CheckpointReport as messages that are small, however large the part is that it describes (coordinator.proto).
namespace arcshard {

// One participant's part of a checkpoint is the state of one process; no host has memory for more than this.
inline constexpr uint64_t kMaxPartBytes = uint64_t{16} << 40;
// Of a message; so none has more than 128 KiB of them.
inline constexpr int kMostBlocksOfAPiece = 1 << 15;

// The messages to send, in order; at least one.
std::vector<v1::ParticipantMessage> PiecesOf(const CheckpointReport& report);

// Puts the pieces of a sender's reports together again. Not thread-safe.
class CheckpointAssembler {
 public:
  // Returns the report that this piece completes, if it does. InvalidArgument: the piece does not continue the one
  // before, the part is larger than kMaxPartBytes, or as FromProto of the whole. The pieces so far are then forgotten.
  absl::StatusOr<std::optional<CheckpointReport>> Add(const v1::CheckpointReport& piece);

 private:
  absl::Status Append(const v1::CheckpointReport& piece);

  std::optional<v1::CheckpointReport> so_far_;
  uint64_t blocks_ = 0;  // of so_far_
};

}  // namespace arcshard
