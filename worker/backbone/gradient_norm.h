#pragma once

#include "ATen/core/Tensor.h"

namespace arcshard::worker {

// The 2-norm of a contiguous float32 tensor. The sum is in double, in an order that is the same on every worker (on
// GPUs, on every worker with the same kind of GPU). It is finite if and only if all elements are.
double Norm2(const at::Tensor& values);

// PyTorch's clip_grad_norm_, with norm = Norm2(gradient): gradient ← gradient · min(1, max_norm/(norm + 1e-6)).
void ClipGradNorm(double norm, double max_norm, at::Tensor gradient);

}  // namespace arcshard::worker
