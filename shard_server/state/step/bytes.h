#pragma once

#include <cstdint>
#include <cstring>

#include "absl/types/span.h"

namespace arcshard::shard {

// Whether a repeated message has the same contents. Compares bytes, because a NaN does not equal itself.
template <typename T>
bool SameBytes(absl::Span<const T> a, absl::Span<const T> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// Whether every value is finite. There is no branch per value, so that the compiler vectorises the loop.
inline bool AllFinite(absl::Span<const float> values) {
  uint32_t non_finite = 0;
  for (const float value : values) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    non_finite |= static_cast<uint32_t>((bits & 0x7f800000u) == 0x7f800000u);
  }
  return non_finite == 0;
}

}  // namespace arcshard::shard
