#pragma once

#include <bit>
#include <cstdint>

#include "common/base/bfloat16.h"
#include "common/base/host_device.h"

// How values become bfloat16 in the head.
namespace arcshard::head {

// Rounds away from zero with a probability that equals the part cut off, so that the mean over `random`, uniform in
// [0, 2^16), is x. Infinities and NaNs are kept, and no finite x becomes infinite.
ARCSHARD_HOST_DEVICE inline Bfloat16 RoundStochastically(float x, uint32_t random) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t magnitude = bits & 0x7fffffffu;
  // No branches, so that loops over it are vectorised. The largest finite values and non-finite ones are not rounded
  // up.
  const uint32_t up = (0u - static_cast<uint32_t>(magnitude < 0x7f7f0000u)) & random;
  const uint32_t quiet_nan = static_cast<uint32_t>(magnitude > 0x7f800000u) << 22;
  const uint32_t rounded = (bits + up) | quiet_nan;
  return {static_cast<uint16_t>(rounded >> 16)};
}

template <typename T>
ARCSHARD_HOST_DEVICE inline T Nearest(float x);
template <>
ARCSHARD_HOST_DEVICE inline float Nearest<float>(float x) {
  return x;
}
template <>
ARCSHARD_HOST_DEVICE inline Bfloat16 Nearest<Bfloat16>(float x) {
  return RoundToNearest(x);
}

// Converts a result of an update to the stored type T: bfloat16 is rounded stochastically, float32 is kept.
template <typename T>
ARCSHARD_HOST_DEVICE inline T Held(float x, uint32_t random);
template <>
ARCSHARD_HOST_DEVICE inline float Held<float>(float x, uint32_t) {
  return x;
}
template <>
ARCSHARD_HOST_DEVICE inline Bfloat16 Held<Bfloat16>(float x, uint32_t random) {
  return RoundStochastically(x, random);
}

}  // namespace arcshard::head
