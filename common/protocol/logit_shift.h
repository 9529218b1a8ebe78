#pragma once

#include <cmath>
#include <cstdint>

namespace arcshard {

// a = s + ln N - 69, the constant that is subtracted from every logit before its exponential (docs/design.md, section
// 1). `scale` is s, the largest logit there can be, and `num_classes` is N. With it no sum over N classes exceeds e^69,
// which float32 and bfloat16 hold, and the sums of all shards can be added without a running maximum.
inline double LogitShift(double scale, int64_t num_classes) {
  return scale + std::log(static_cast<double>(num_classes)) - 69.0;
}

}  // namespace arcshard
