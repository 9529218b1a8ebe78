#pragma once

#include "ATen/core/Tensor.h"

namespace arcshard::worker {

// A batch's own statistics, float32: C each.
struct BatchStatistics {
  at::Tensor mean;
  at::Tensor variance;  // unbiased
};

// BatchNorm in training: (x - mean)/sqrt(biased variance + eps)·weight + bias for each channel, with a graph for
// autograd. x: B×C or B×C×H×W, float32 or bfloat16; weight, bias: C, float32. Fills `statistics`, whose tensors have
// the shape of `weight`.
//
// The backward pass brings the gradient into the layout of x: LibTorch's kernel computes element by element where the
// two have different layouts, as behind a flatten or a slice, and took 11 % of an iresnet18's step.
at::Tensor NormalizeBatch(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps,
                          BatchStatistics* statistics);

}  // namespace arcshard::worker
