#pragma once

#include "ATen/core/Tensor.h"
#include "absl/types/span.h"
#include "worker/backbone/named_tensor.h"

namespace arcshard::worker {

// Moves the parameters into one buffer (P float32 values, 1-D, in order), of which each becomes a view, and returns it:
// an optimizer then makes one vectorised pass over it. Handles that layers hold see the new place. Values are kept.
at::Tensor FlattenParameters(absl::Span<const NamedTensor> parameters);

// The 2-norm of a contiguous float32 tensor, summed in double and in an order that is the same on every worker. Not
// finite if and only if an element is not.
double Norm2(const at::Tensor& values);

// PyTorch's clip_grad_norm_: gradient ← gradient · min(1, max_norm/(norm + 1e-6)), with norm = Norm2(gradient).
void ClipGradNorm(double norm, double max_norm, at::Tensor gradient);

struct SgdOptions {
  double momentum = 0.9;
  double weight_decay =
      5e-4;  // on every parameter that has a gradient, BatchNorm's and PReLU's too, as InsightFace does
};

// SGD as PyTorch defines it, without damping or Nesterov: v ← momentum·v + (gradient + weight_decay·w), w ← w − lr·v.
class Sgd {
 public:
  // `values`: the parameters' flat buffer (P), updated in place by Step.
  Sgd(at::Tensor values, const SgdOptions& options);

  // gradient: P values, of the whole step.
  void Step(const at::Tensor& gradient, double lr);

  const at::Tensor& momentum() const { return momentum_; }  // v, P values; zeros if options.momentum is 0

 private:
  at::Tensor values_;
  at::Tensor momentum_;
  SgdOptions options_;
};

}  // namespace arcshard::worker
