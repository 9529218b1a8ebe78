#pragma once

#include <cstdint>

#include "absl/types/span.h"

namespace arcshard::worker {

// First weights. Each value is a pure function of (seed, parameter, its place in the tensor): neither the order of
// construction nor the number of threads nor the processor's vector instructions take part. `parameter` is the
// tensor's ordinal in its model.

void FillNormal(uint64_t seed, uint32_t parameter, double stddev, absl::Span<float> out);

// Uniform in [-bound, bound).
void FillUniform(uint64_t seed, uint32_t parameter, double bound, absl::Span<float> out);

}  // namespace arcshard::worker
