#pragma once

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"

namespace arcshard::worker {

// The running averages of a model and its loss: BatchNorm's means and variances, AdaFace's averages of the norm. Within
// a step each micro-batch μ deposits its own statistics, weighted by its share n_μ/B of the step's samples; the sums
// travel with the gradients' all-reduce, and once per step, at commit, on every worker alike,
//
//     running <- (1 - momentum)·running + momentum·Σ_μ (n_μ/B)·stat_μ
//
// So neither who computed a micro-batch nor how many workers there are changes an average, and a skipped step leaves
// it. Not thread-safe.
class RunningStatistics {
 public:
  using Handle = size_t;

  // `running`: a contiguous float32 tensor, updated in place by Commit; on any device. All registrations come before
  // the first deposit and in the same order on every worker; then handles, offsets and sums agree.
  Handle Register(at::Tensor running, double momentum);

  // `counter`: an int64 scalar that Commit increments (BatchNorm's num_batches_tracked, here of steps).
  void RegisterCounter(at::Tensor counter);

  // Floats in the sums: the elements of all registered tensors.
  int64_t size() const { return size_; }

  // The sums of this worker's deposits of the step, in the order of registration: 1-D float32, size() elements.
  const at::Tensor& pending() const { return pending_; }

  // Makes `pending` (as above) the place of the sums, so that they lie behind the gradients in one buffer. Its content
  // is kept; what was pending before is forgotten.
  void MoveTo(at::Tensor pending);

  // Adds weight·statistic; `statistic` has the registered tensor's number of elements. weight: n_μ/B.
  void Deposit(Handle handle, const at::Tensor& statistic, double weight);

  // Takes the sums over all workers (like pending()), updates every running tensor and counter, and clears pending().
  void Commit(const at::Tensor& sums);

  // The step was skipped, or begins anew: clears pending().
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
