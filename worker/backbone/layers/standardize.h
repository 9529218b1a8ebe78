#pragma once

#include "ATen/core/Tensor.h"

namespace arcshard::worker {

// (f − mean)/sqrt(var + 2e-5) for each dimension over the samples of a micro-batch, with the biased variance and with a
// graph for autograd. f: B×D float32. Only for training: verification and `arcshard embed` use embeddings unchanged.
at::Tensor Standardize(const at::Tensor& embeddings);

}  // namespace arcshard::worker
