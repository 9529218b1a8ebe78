#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/cpu/block_ops.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/head.h"
#include "shard_server/head/step_plan.h"

namespace arcshard::head {

// The micro-batches of one group side by side, as the products take them, T being the compute type: unit embeddings,
// and which samples have their own class here. Memory is kept from step to step. Thread-compatible.
template <typename T>
class PreparedGroup {
 public:
  // Starts a group of `samples` samples. With `gradient`, AppendGradient follows each Append.
  // ResourceExhausted: no memory.
  absl::Status Start(int64_t samples, int64_t dim, bool gradient);

  // The next micro-batch. Labels were checked, and those of the range take part in the plan's step.
  void Append(const ForwardInput& input, ClassRange range, const StepPlan& plan);

  // What the loss says of the micro-batch appended last: r is folded into the unit embeddings.
  void AppendGradient(absl::Span<const float> r, absl::Span<const float> t);

  // Call after the last micro-batch.
  void Finish();

  int64_t samples() const { return samples_; }
  int64_t stride() const { return RoundedUp(samples_, kRowUnit); }
  const T* unit() const { return unit_paired_.data(); }  // depth×stride, paired: e_hat as ProductOfCosines takes it
  const T* unit_times_r() const { return times_r_.data(); }  // stride×dim, paired: r·e_hat as ProductOfGradient does
  const float* unit_row(int64_t i) const { return unit_.data() + i * dim_; }
  float t(int64_t i) const { return t_[static_cast<size_t>(i)]; }

  // The samples whose own class is in the block.
  absl::Span<const Target> TargetsOf(const Block& block) const;

 private:
  int64_t dim_ = 0;
  int64_t samples_ = 0;
  int64_t appended_ = 0;  // samples
  bool gradient_ = false;
  Buffer<float> unit_;  // samples×dim
  Buffer<T> unit_paired_;
  Buffer<T> times_r_;
  std::vector<float> r_, t_;
  std::vector<Target> targets_;  // by row, then sample
};

}  // namespace arcshard::head
