#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "common/base/clock.h"

namespace arcshard::head {

// How long the three products of a block of classes take on this processor, with factors of each type.
struct ProductTimes {
  int64_t rows = 0;  // of the block
  int64_t samples = 0;
  int64_t dim = 0;
  absl::Duration float32;
  absl::Duration bfloat16;  // InfiniteDuration: the processor has no products of bfloat16
  absl::Duration widened;   // Bfloat16Products::kWidened
};

// Measures them for up to 128 classes and `samples` samples, of which 256 are enough. Each is the shortest of several
// times, made in turn, so that other processes have little influence. It takes about 30 ms.
ProductTimes MeasureProducts(int64_t dim, int64_t samples, const Clock& clock);

}  // namespace arcshard::head
