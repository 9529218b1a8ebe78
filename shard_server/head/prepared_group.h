#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "shard_server/head/block_ops.h"
#include "shard_server/head/block_plan.h"
#include "shard_server/head/buffer.h"
#include "shard_server/head/head.h"

namespace arcshard::head {

// The micro-batches of one group side by side, as the products take them: unit embeddings, and which samples have their
// own class here. Memory is kept from step to step. Thread-compatible.
class PreparedGroup {
 public:
  // Starts a group of `samples` samples. With `gradient`, AppendGradient follows each Append.
  // ResourceExhausted: no memory.
  absl::Status Start(int64_t samples, int64_t dim, bool gradient);

  // The next micro-batch. Labels were checked.
  void Append(const ForwardInput& input, ClassRange range);

  // What the loss says of the micro-batch appended last: r is folded into the unit embeddings.
  void AppendGradient(absl::Span<const float> r, absl::Span<const float> t);

  // Call after the last micro-batch.
  void Finish();

  int64_t samples() const { return samples_; }
  int64_t stride() const { return StrideOf(samples_); }
  const float* unit() const { return unit_.data(); }  // samples×dim: e_hat
  const float* unit_row(int64_t i) const { return unit_.data() + i * dim_; }
  const float* unit_times_r() const { return unit_times_r_.data(); }  // samples×dim: r·e_hat
  float t(int64_t i) const { return t_[static_cast<size_t>(i)]; }

  // The samples whose own class is in the block.
  absl::Span<const Target> TargetsOf(const Block& block) const;

  // Floats between the rows of S for that many samples: rows start at cache lines.
  static int64_t StrideOf(int64_t samples) { return (samples + 15) / 16 * 16; }

 private:
  int64_t dim_ = 0;
  int64_t samples_ = 0;
  int64_t appended_ = 0;  // samples
  Buffer<float> unit_;
  Buffer<float> unit_times_r_;
  std::vector<float> t_;
  std::vector<Target> targets_;  // by row, then sample
};

}  // namespace arcshard::head
