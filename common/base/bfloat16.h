#pragma once

#include <bit>
#include <cstdint>

#include "common/base/host_device.h"

// bfloat16 is the upper half of a float32: the conversion to float32 is exact, the conversion from float32 rounds.
namespace arcshard {

struct Bfloat16 {
  uint16_t bits = 0;
  friend bool operator==(const Bfloat16&, const Bfloat16&) = default;
};

ARCSHARD_HOST_DEVICE inline float Widen(Bfloat16 x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}
ARCSHARD_HOST_DEVICE inline float Widen(float x) { return x; }

// Rounds to the nearest value, ties to even. A NaN stays a NaN; a value that exceeds the largest finite one by half a
// step or more becomes infinite, as in IEEE 754.
ARCSHARD_HOST_DEVICE inline Bfloat16 RoundToNearest(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet_nan = (bits >> 16) | 0x40u;
  return {static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded)};
}

}  // namespace arcshard
