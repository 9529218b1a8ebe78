#pragma once

#include <bit>
#include <cstdint>

#include "shard_server/head/host_device.h"

// bfloat16 is the upper half of a float32: widening loses nothing, narrowing rounds.
namespace arcshard::head {

struct Bfloat16 {
  uint16_t bits = 0;
  friend bool operator==(const Bfloat16&, const Bfloat16&) = default;
};

ARCSHARD_HOST_DEVICE inline float Widen(Bfloat16 x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}
ARCSHARD_HOST_DEVICE inline float Widen(float x) { return x; }

// To the nearest, of two equally near ones to the even one. A NaN stays a NaN; what is beyond the largest finite value
// by half a step or more becomes infinite, as in float32's own rounding.
ARCSHARD_HOST_DEVICE inline Bfloat16 RoundToNearest(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet_nan = (bits >> 16) | 0x40u;
  return {static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded)};
}

// Up with the probability of the part cut off, so that the mean over `random`, uniform in [0, 2^16), is x. Infinities
// and NaNs stay what they are, and no finite x becomes infinite.
ARCSHARD_HOST_DEVICE inline Bfloat16 RoundStochastically(float x, uint32_t random) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t magnitude = bits & 0x7fffffffu;
  // Without a branch, or no loop over it vectorises. Not up: the largest finite value, and what is not finite.
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

// How a value of an update is put back where it is held as T: float32 takes no random bits.
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
