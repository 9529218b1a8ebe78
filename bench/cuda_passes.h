#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "shard_server/head/cuda/cuda_kernels.h"

namespace arcshard::bench {

// v <- momentum·v + g, w <- w - lr·v for `size` values on the device.
struct StreamPassArguments {
  int64_t size = 0;
  head::Values w;
  head::Values v;
  head::Values second;       // a second moment, of g^2, where it has data; in v's type
  const float* g = nullptr;  // read again from the beginning after its end
  int64_t gradients = 0;     // values of g
};

// Queues the pass on `stream`.
cudaError_t StreamPass(const StreamPassArguments& arguments, cudaStream_t stream);

}  // namespace arcshard::bench
