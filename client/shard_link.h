#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/protocol/types.h"

namespace arcshard::client {

// One shard's answer to one micro-batch (DESIGN §1): sums over its negatives, and the unit centers of the classes it
// owns.
struct ShardStatistics {
  std::vector<float> z;            // B
  std::vector<float> u;            // B×D
  std::vector<uint32_t> own_rows;  // samples whose class the shard owns, ascending
  std::vector<float> own_centers;  // size(own_rows)×D
};

// Receives a link's results. `shard` is the id of the link's shard. Thread-safe; called by the link's threads, must not
// block.
class ShardLinkEvents {
 public:
  virtual ~ShardLinkEvents() = default;
  // Swaps the contents of `statistics` with buffers that the link may reuse.
  virtual void OnStatistics(size_t shard, const Key& key, ShardStatistics* statistics) = 0;
  // The link is lost. The last call.
  virtual void OnLost(size_t shard, const absl::Status& status) = 0;
};

// This worker's messages to one shard, in the order that shard.proto demands. Never blocks. Messages on a lost link are
// dropped; OnLost has been called then. Embeddings that the run sends as bfloat16 were rounded before
// (common/protocol/wire_type.h), so that every shard and the worker have the same. Not thread-safe.
class ShardLink {
 public:
  virtual ~ShardLink() = default;
  virtual void SendLabels(const Key& key, absl::Span<const int64_t> labels) = 0;
  // embedding: B×D, row-major.
  virtual void SendEmbedding(const Key& key, absl::Span<const float> embedding) = 0;
  // r, t: B.
  virtual void SendGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t) = 0;
};

}  // namespace arcshard::client
