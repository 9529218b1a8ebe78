#pragma once

#include <cstdint>

#include "absl/types/span.h"

namespace arcshard::worker {

// First weights. Each value depends only on (seed, parameter, place in the tensor), and not on the order of
// construction, the number of threads or the processor's vector instructions. `parameter` is the tensor's ordinal in
// its model.

// Normal with mean 0.
void FillNormal(uint64_t seed, uint32_t parameter, double stddev, absl::Span<float> out);

// Uniform in [-bound, bound).
void FillUniform(uint64_t seed, uint32_t parameter, double bound, absl::Span<float> out);

}  // namespace arcshard::worker
