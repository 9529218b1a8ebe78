#pragma once

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/types/span.h"
#include "worker/backbone/layers/named_tensor.h"
#include "worker/backbone/layers/running_statistics.h"

namespace arcshard::worker {

// Everything that a worker sums over its micro-batches of a step, in one float32 buffer, so that a single all-reduce
// sums it over the workers:
//
//     [ gradients of the parameters, in order | weighted statistics (RunningStatistics) | scalars ]
//
// The buffer is on the parameters' device. The parameters' gradients are views of it, so backward passes add to it in
// place. An all-reduce writes its result to another buffer, so that this worker's own sums stay and a later view can
// reduce them again. The accessors take any buffer of this layout, own or reduced. Not thread-safe.
class StepSums {
 public:
  // Sets the gradient of each parameter and moves the pending statistics here. Call it after all statistics have been
  // registered. Parameters and statistics share ownership of the buffer.
  StepSums(absl::Span<const NamedTensor> parameters, RunningStatistics* statistics, int64_t num_scalars);

  // This worker's sums, 1-D.
  const at::Tensor& own() const { return own_; }

  // Call it at the start of a step.
  void Zero() { own_.zero_(); }

  // Parts of a buffer of this layout, which share its memory.
  at::Tensor Gradients(const at::Tensor& sums) const { return sums.narrow(0, 0, num_gradients_); }
  at::Tensor Statistics(const at::Tensor& sums) const { return sums.narrow(0, num_gradients_, num_statistics_); }
  at::Tensor Scalars(const at::Tensor& sums) const {
    return sums.narrow(0, num_gradients_ + num_statistics_, num_scalars_);
  }

 private:
  int64_t num_gradients_ = 0;
  int64_t num_statistics_ = 0;
  int64_t num_scalars_ = 0;
  at::Tensor own_;
};

// Whether all elements of a contiguous float32 tensor are finite.
bool AllFinite(const at::Tensor& values);

}  // namespace arcshard::worker
