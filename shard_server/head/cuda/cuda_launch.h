#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "shard_server/head/arithmetic/bfloat16.h"
#include "shard_server/head/cuda/cuda_kernels.h"

// Launching and warps. Include this in .cu files only.
namespace arcshard::head {

constexpr int kWarp = 32;
constexpr int kThreads = 256;  // in a block of threads
constexpr int kWarps = kThreads / kWarp;

__device__ inline int64_t GlobalThread() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline int64_t GlobalWarp() { return GlobalThread() / kWarp; }
__device__ inline int Lane() { return static_cast<int>(threadIdx.x) % kWarp; }

// The sum over a warp, the same in every lane, always added in the same order.
template <typename T>
__device__ T WarpSum(T value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

// Launches are written as calls, not as <<<...>>>, so that the tests can compile kernels for the host's processor
// (testing/host_gpu.h).
template <typename... Parameters, typename... Arguments>
cudaError_t Launch(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t stream,
                   const Arguments&... arguments) {
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

// Launch one thread, or one warp, for each item. A grid has up to 2^31 - 1 blocks in x, which is enough for any array
// that fits in memory.
template <typename... Parameters, typename... Arguments>
cudaError_t LaunchThreads(void (*kernel)(Parameters...), int64_t items, cudaStream_t stream,
                          const Arguments&... arguments) {
  if (items == 0) return cudaSuccess;
  return Launch(kernel, dim3(static_cast<unsigned>((items + kThreads - 1) / kThreads)), kThreads, stream, arguments...);
}
template <typename... Parameters, typename... Arguments>
cudaError_t LaunchWarps(void (*kernel)(Parameters...), int64_t items, cudaStream_t stream,
                        const Arguments&... arguments) {
  return LaunchThreads(kernel, items * kWarp, stream, arguments...);
}

// Calls `launch` with a pointer of the values' type.
template <typename Launch>
cudaError_t WithType(Values values, Launch launch) {
  if (values.type == DataType::kBfloat16) return launch(static_cast<Bfloat16*>(values.data));
  return launch(static_cast<float*>(values.data));
}
template <typename Launch>
cudaError_t WithType(ConstValues values, Launch launch) {
  if (values.type == DataType::kBfloat16) return launch(static_cast<const Bfloat16*>(values.data));
  return launch(static_cast<const float*>(values.data));
}

}  // namespace arcshard::head
