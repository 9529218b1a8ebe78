#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "shard_server/head/matrix.h"

namespace arcshard::shard {

// The sums over this shard's classes for a micro-batch of B samples, D dimensions (DESIGN §1). A worker adds up those
// of all shards.
struct PartialStatistics {
  absl::Span<const float> z;                  // B
  head::MatrixView<const float> u;            // B×D
  absl::Span<const uint32_t> own_rows;        // samples whose class this shard owns, ascending
  head::MatrixView<const float> own_centers;  // size(own_rows)×D: their unit class centers
};

// Receives what a shard's state has to send and to report.
//
// The executor's thread calls every member, one at a time and without the state's lock, so a member may call the state.
// The memory behind spans and matrix views is valid until the call returns. A call must not wait for the network.
class ShardOutput {
 public:
  virtual ~ShardOutput() = default;

  // Sends statistics to `worker`. If it has no stream they are dropped: it repeats the embedding when it reconnects.
  virtual void SendStatistics(uint32_t worker, const Key& key, const PartialStatistics& statistics) = 0;

  // Refuses a message of `worker` that arrived before its step or view and was accepted to wait. The worker's stream
  // ends with `why`.
  virtual void Refuse(uint32_t worker, const Key& key, const absl::Status& why) = 0;

  // Sends this shard's vote on a step to the coordinator, once for each step: all its messages were received.
  virtual void VoteReady(const ReadyVote& vote) = 0;

  // Makes a checkpoint of the head, which holds the state after `step` and does not change until the call returns.
  virtual void TakeCheckpoint(const View& view, uint64_t step) = 0;

  // Reports that the decision about `step` was carried out: class centers and momentum are those after it.
  virtual void Applied(uint64_t step, Outcome outcome) = 0;
};

}  // namespace arcshard::shard
