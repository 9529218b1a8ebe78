#pragma once

#include "absl/types/span.h"

// Conversions of many values (common/base/bfloat16.h), in loops that compilers vectorise.
namespace arcshard {

// Rounds each value to the nearest bfloat16.
void RoundToBfloat16(absl::Span<float> values);

// Writes the values, rounded to the nearest, as 2 bytes each in the machine's order. `bytes` may have any alignment.
void NarrowToBytes(absl::Span<const float> values, char* bytes);

// Reads as many values as fit `values`, 2 bytes each.
void WidenFromBytes(const char* bytes, absl::Span<float> values);

}  // namespace arcshard
