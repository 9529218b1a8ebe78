#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/protocol/types.h"

namespace arcshard::client {

// What one shard says of one micro-batch (DESIGN §1): sums over its negatives, and the unit centers of the classes it
// owns.
struct ShardStatistics {
  std::vector<float> z;            // B
  std::vector<float> u;            // B×D
  std::vector<uint32_t> own_rows;  // samples whose class the shard owns, ascending
  std::vector<float> own_centers;  // size(own_rows)×D
};

// Where a link tells what came of what it sent. Thread-safe; called by the link's threads, must not block.
class ShardLinkEvents {
 public:
  virtual ~ShardLinkEvents() = default;
  // Takes the contents of `statistics` by swapping: the link gets buffers back that it may use again.
  virtual void OnStatistics(size_t shard, const Key& key, ShardStatistics* statistics) = 0;
  // The link is of no more use. Nothing follows.
  virtual void OnLost(size_t shard, const absl::Status& status) = 0;
};

// This worker's traffic with one shard, in the order that shard.proto says. Never blocks; what is sent on a lost link
// is dropped, since OnLost has been called. Calls come from one thread.
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
