#pragma once

#include "ATen/core/Tensor.h"

namespace arcshard::worker {

// The 2-norm of a contiguous float32 tensor, summed in double and in an order that is the same on every worker (with
// GPUs: of the same kind). Not finite if and only if an element is not.
double Norm2(const at::Tensor& values);

// PyTorch's clip_grad_norm_: gradient ← gradient · min(1, max_norm/(norm + 1e-6)), with norm = Norm2(gradient).
void ClipGradNorm(double norm, double max_norm, at::Tensor gradient);

}  // namespace arcshard::worker
