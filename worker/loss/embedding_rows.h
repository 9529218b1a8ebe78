#pragma once

#include "ATen/core/Tensor.h"

namespace arcshard::worker {

// The loss's work on rows of D values, in float64: what a loss has to know of each embedding, and how a gradient by
// that becomes one by the embedding. Tensors are contiguous and on the CPU; e, u, w have one dtype, float32 or float64;
// the others are float64. An embedding whose norm is below 1e-12 has unit vector 0, and so cosine, norm and gradient 0.
// NaN and infinity propagate.

struct EmbeddingRows {
  at::Tensor norm;    // B: ‖e‖
  at::Tensor cosine;  // B: ê·w
};

// e, w: B×D.
EmbeddingRows DescribeRows(const at::Tensor& e, const at::Tensor& w);

// By what the loss changes: B each.
struct RowFactors {
  at::Tensor r, t;    // ∂L/∂ê = r·u + t·w
  at::Tensor d_norm;  // ∂L/∂‖e‖
};

// B×D, with the dtype of e: ∂L/∂e = (g - (g·ê)·ê)/‖e‖ + d_norm·ê with g = ∂L/∂ê. norm: DescribeRows's. u, w: B×D.
at::Tensor GradientOfRows(const at::Tensor& e, const at::Tensor& norm, const at::Tensor& u, const at::Tensor& w,
                          const RowFactors& factors);

}  // namespace arcshard::worker
