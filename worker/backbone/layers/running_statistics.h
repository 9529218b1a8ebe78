#pragma once

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"

namespace arcshard::worker {

// The running averages of a model and its loss: BatchNorm's means and variances, AdaFace's averages of the norm. Within
// a step each micro-batch μ deposits its own statistics, weighted by its share n_μ/B of the step's samples. The sums
// are part of the gradients' all-reduce. Once per step, at commit, every worker computes
//
//     running <- (1 - momentum)·running + momentum·Σ_μ (n_μ/B)·stat_μ
//
// So an average depends neither on the number of workers nor on which worker computed a micro-batch, and a skipped step
// leaves it unchanged. Not thread-safe.
class RunningStatistics {
 public:
  using Handle = size_t;

  // `running`: a contiguous float32 tensor on any device, which Commit updates in place. Register everything before the
  // first deposit, and in the same order on every worker, so that the sums of all workers have the same layout.
  Handle Register(at::Tensor running, double momentum);

  // `counter`: an int64 scalar that Commit increments (BatchNorm's num_batches_tracked; here it counts steps).
  void RegisterCounter(at::Tensor counter);

  // The number of elements of all registered tensors, which is the size of the sums.
  int64_t size() const { return size_; }

  // The sums of this worker's deposits in the step, in the order of registration: 1-D float32, size() elements.
  const at::Tensor& pending() const { return pending_; }

  // Replaces the buffer of the sums by `pending`, which has the layout above, so that they follow the gradients in one
  // buffer. The values in `pending` stay; those of the former buffer are dropped.
  void MoveTo(at::Tensor pending);

  // Adds weight·statistic; `statistic` has the registered tensor's number of elements. weight: n_μ/B.
  void Deposit(Handle handle, const at::Tensor& statistic, double weight);

  // Updates every running tensor and counter by the sums over all workers (laid out as pending()) and clears pending().
  void Commit(const at::Tensor& sums);

  // Clears pending(), because the step was skipped or starts again.
  void Discard();

 private:
  struct Entry {
    at::Tensor running;
    double momentum;
    int64_t offset;
  };

  std::vector<Entry> entries_;
  std::vector<at::Tensor> counters_;
  at::Tensor pending_;
  int64_t size_ = 0;
};

}  // namespace arcshard::worker
