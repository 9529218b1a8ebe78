#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/cpu/active_classes.h"
#include "shard_server/head/cpu/block_plan.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/cpu/kernels/products.h"
#include "shard_server/head/head.h"
#include "shard_server/head/target.h"

namespace arcshard::head {

// The micro-batches of one group one after the other, in the layout that the products take (T: the compute type): unit
// embeddings, and the samples whose own class is in this shard. Memory is kept from step to step. Thread-compatible.
template <typename T>
class PreparedGroup {
 public:
  // Starts a group of `samples` samples. Requires AppendGradient after each Append if and only if `gradient`.
  // ResourceExhausted: no memory.
  absl::Status Start(int64_t samples, int64_t dim, bool gradient);

  // Appends a micro-batch. Requires labels of which those inside `range` are in `active`.
  void Append(const ForwardInput& input, ClassRange range, const ActiveClasses& active);

  // Appends r and t of the micro-batch appended last (as in UpdateInput). Finish folds r into the unit embeddings.
  void AppendGradient(absl::Span<const float> r, absl::Span<const float> t);

  // Call after the last micro-batch; requires as many samples as Start announced.
  void Finish();

  int64_t samples() const { return samples_; }
  int64_t stride() const { return RoundedUp(samples_, kRowUnit); }
  const T* unit() const { return packed_unit_.data(); }      // depth×stride, packed: ê for ProductOfCosines
  const T* unit_times_r() const { return times_r_.data(); }  // stride×dim, packed: r·ê for ProductOfGradient
  const float* unit_row(int64_t i) const { return unit_.data() + i * dim_; }
  float t(int64_t i) const { return t_[static_cast<size_t>(i)]; }

  // The samples whose own class is in the block.
  absl::Span<const Target> TargetsOf(const Block& block) const;

 private:
  int64_t dim_ = 0;
  int64_t samples_ = 0;
  int64_t appended_ = 0;  // samples so far
  bool gradient_ = false;
  Buffer<float> unit_;  // samples×dim
  Buffer<T> packed_unit_;
  Buffer<T> times_r_;
  std::vector<float> r_, t_;
  std::vector<Target> targets_;  // sorted by Finish
};

}  // namespace arcshard::head
