#pragma once

#include "ATen/core/Tensor.h"

namespace arcshard::worker {

// (f − mean)/sqrt(var + 2e-5) per dimension over the samples of a micro-batch, with the biased variance and with a
// graph for autograd. f: B×D float32. For training only: at test embeddings are left as they are.
at::Tensor Standardize(const at::Tensor& embeddings);

}  // namespace arcshard::worker
