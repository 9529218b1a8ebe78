#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "shard_server/head/arithmetic/random_draws.h"
#include "shard_server/head/cuda/cuda_launch.h"

// Rows in octets: lane i of a warp processes the octets i, i + 32, ... of a row. Include this in .cu files only.
namespace arcshard::head {

// Dimensions that a lane processes at once: one call of Philox gives the bits to round them.
constexpr int kDims = static_cast<int>(RoundingBits::kDims);

// Loads or stores up to 8 values of a row. Full, aligned octets are moved 16 bytes at a time.
template <typename T>
__device__ void LoadOctet(const T* from, int count, T (&to)[kDims]) {
  if (count == kDims && reinterpret_cast<uintptr_t>(from) % sizeof(uint4) == 0) {
#pragma unroll
    for (size_t i = 0; i < kDims * sizeof(T) / sizeof(uint4); ++i) {
      reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
    }
  } else {
#pragma unroll
    for (int i = 0; i < kDims; ++i) {
      if (i < count) to[i] = from[i];
    }
  }
}
template <typename T>
__device__ void StoreOctet(const T (&from)[kDims], int count, T* to) {
  if (count == kDims && reinterpret_cast<uintptr_t>(to) % sizeof(uint4) == 0) {
#pragma unroll
    for (size_t i = 0; i < kDims * sizeof(T) / sizeof(uint4); ++i) {
      reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
    }
  } else {
#pragma unroll
    for (int i = 0; i < kDims; ++i) {
      if (i < count) to[i] = from[i];
    }
  }
}

// Calls octet(d, dims) for each octet of the lane: its first dimension, and how many it has.
template <typename Octet>
__device__ void ForEachOctet(int64_t dim, Octet octet) {
  for (int64_t d = static_cast<int64_t>(Lane()) * kDims; d < dim; d += static_cast<int64_t>(kWarp) * kDims) {
    octet(d, static_cast<int>(min(static_cast<int64_t>(kDims), dim - d)));
  }
}

// Adds the squares of an octet to `square`. Every kernel that computes a norm adds the same octets in the same order,
// so the norm of a row has the same bits whether an update, a read-in or a gathering computed it.
template <typename T>
__device__ void AddSquares(const T (&values)[kDims], int count, float* square) {
#pragma unroll
  for (int i = 0; i < kDims; ++i) {
    if (i < count) *square += Widen(values[i]) * Widen(values[i]);
  }
}

}  // namespace arcshard::head
