#pragma once

#include <cstdint>

#include "common/base/vectorised.h"
#include "shard_server/head/arithmetic/bfloat16.h"

namespace arcshard::head {

// A sum is computed as 16 partial sums, so that it can be vectorised without allowing the compiler to reorder it.
constexpr int64_t kLanes = 16;

ARCSHARD_INLINED float SumOfLanes(const float (&lanes)[kLanes]) {
  float pairs[kLanes / 2];
  for (int64_t i = 0; i < kLanes / 2; ++i) pairs[i] = lanes[i] + lanes[i + kLanes / 2];
  return ((pairs[0] + pairs[4]) + (pairs[1] + pairs[5])) + ((pairs[2] + pairs[6]) + (pairs[3] + pairs[7]));
}

// The sum of x[d]·y[d], computed in float32.
template <typename X, typename Y>
ARCSHARD_INLINED float Dot(int64_t dim, const X* x, const Y* y) {
  float lanes[kLanes] = {};
  int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    for (int64_t i = 0; i < kLanes; ++i) lanes[i] += Widen(x[d + i]) * Widen(y[d + i]);
  }
  for (int64_t i = 0; d + i < dim; ++i) lanes[i] += Widen(x[d + i]) * Widen(y[d + i]);
  return SumOfLanes(lanes);
}

}  // namespace arcshard::head
