#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "shard_server/head/cuda/cuda_kernels.h"

namespace arcshard::bench {

// v <- momentum·v + g, w <- w - lr·v over `size` values of the device, in the types they are held in; `second`, where
// it has data, is a second moment of g^2. g: `gradients` values of the device, read over and over. Queued on `stream`.
cudaError_t StreamPass(int64_t size, head::Values w, head::Values v, head::Values second, const float* g,
                       int64_t gradients, cudaStream_t stream);

}  // namespace arcshard::bench
