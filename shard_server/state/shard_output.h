#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "shard_server/head/matrix.h"

namespace arcshard::shard {

// The sums over this shard's classes for a micro-batch of B samples, D dimensions (DESIGN §1).
struct Statistics {
  absl::Span<const float> z;                  // B
  head::MatrixView<const float> u;            // B×D
  absl::Span<const uint32_t> own_rows;        // samples whose class this shard owns, ascending
  head::MatrixView<const float> own_centers;  // size(own_rows)×D: their unit class centers
};

// What the state of a shard says to the world.
//
// Every member is called by the executor's thread, one at a time and without the state's lock; it may call the state.
// What the views point to stays until the call returns, not longer. A call must not wait for the network.
class ShardOutput {
 public:
  virtual ~ShardOutput() = default;

  // To `worker`; without a stream to it, nothing: it repeats the embedding when it is back.
  virtual void SendStatistics(uint32_t worker, const Key& key, const Statistics& statistics) = 0;

  // A message of `worker` that had come early and was accepted to wait is refused, now that its step is known. The
  // worker learns it by the end of its stream.
  virtual void Refuse(uint32_t worker, const Key& key, const absl::Status& why) = 0;

  // Once for each step: this shard holds everything of it. The coordinator counts it.
  virtual void VoteReady(const ReadyVote& vote) = 0;

  // The head holds the state after `step`, which becomes a checkpoint: until the call returns nothing changes.
  virtual void TakeCheckpoint(const View& view, uint64_t step) = 0;

  // The decision about `step` has been carried out: class centers and momentum are those after it.
  virtual void Applied(uint64_t step, Outcome outcome) = 0;
};

}  // namespace arcshard::shard
