#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>

#include "shard_server/head/cuda/testing/host_gpu.h"
#include "shard_server/head/cuda/testing/host_warp.h"

// What kernels and their launches need, as far as the head's use it. A kernel is an ordinary function, which is called
// once for each thread of the grid. There is no shared memory and no barrier, because no kernel has any.

#define __global__
#define __device__

struct dim3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
  dim3(unsigned x_in = 1, unsigned y_in = 1, unsigned z_in = 1) : x(x_in), y(y_in), z(z_in) {}
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

// Of the thread that runs.
inline thread_local dim3 blockDim, blockIdx, threadIdx;

inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int offset) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  const auto& lanes = arcshard::head::HostWarp::Exchange(mask, bits);
  std::memcpy(&value, &lanes[(threadIdx.x % arcshard::head::HostWarp::kLanes) ^ static_cast<unsigned>(offset)],
              sizeof(T));
  return value;
}
inline unsigned __ballot_sync(unsigned mask, bool value) {
  const auto& lanes = arcshard::head::HostWarp::Exchange(mask, value ? 1 : 0);
  unsigned ballot = 0;
  for (size_t lane = 0; lane < lanes.size(); ++lane) ballot |= static_cast<unsigned>(lanes[lane]) << lane;
  return ballot;
}

struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

// The arguments are copied when the kernel is queued.
template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  const dim3 grid = config->gridDim, block = config->blockDim;
  const arcshard::head::HostGrid shape = {grid.x, grid.y, block.x};
  if (grid.z != 1 || block.y != 1 || block.z != 1 || config->dynamicSmemBytes != 0 || !shape.IsValid()) {
    return cudaErrorInvalidConfiguration;
  }
  std::tuple<Parameters...> copies(std::forward<Arguments>(arguments)...);
  return arcshard::head::QueueWork(config->stream, [=] {
    shape.ForEachWarp([&](unsigned x, unsigned y, unsigned first_thread) {
      blockDim = block;
      blockIdx = dim3(x, y);
      arcshard::head::HostWarp::Run([&](unsigned lane) { threadIdx = dim3(first_thread + lane); },
                                    [&] { std::apply(kernel, copies); });
    });
  });
}
