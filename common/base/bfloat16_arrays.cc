#include "common/base/bfloat16_arrays.h"

#include <cstddef>
#include <cstring>

#include "common/base/bfloat16.h"

namespace arcshard {
namespace {

// A char pointer may point anywhere: without __restrict no loop that has one is vectorised.

void Write(const float* __restrict from, size_t count, char* __restrict to) {
  for (size_t i = 0; i < count; ++i) {
    const Bfloat16 value = RoundToNearest(from[i]);
    std::memcpy(to + sizeof(value) * i, &value, sizeof(value));
  }
}

void Read(const char* __restrict from, size_t count, float* __restrict to) {
  for (size_t i = 0; i < count; ++i) {
    Bfloat16 value;
    std::memcpy(&value, from + sizeof(value) * i, sizeof(value));
    to[i] = Widen(value);
  }
}

}  // namespace

void RoundToBfloat16(absl::Span<float> values) {
  for (float& value : values) value = Widen(RoundToNearest(value));
}

void NarrowToBytes(absl::Span<const float> values, char* bytes) { Write(values.data(), values.size(), bytes); }

void WidenFromBytes(const char* bytes, absl::Span<float> values) { Read(bytes, values.size(), values.data()); }

}  // namespace arcshard
