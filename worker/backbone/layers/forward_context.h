#pragma once

#include <cstdint>

namespace arcshard::worker {

// The micro-batch that a forward pass computes.
struct ForwardContext {
  bool training = false;
  uint64_t step = 0;         // with micro_batch, selects dropout's random numbers
  uint32_t micro_batch = 0;  // its number in the step's global batch
  double weight = 1.0;       // n_μ/B, its share of the step's samples, which weights its batch statistics
};

}  // namespace arcshard::worker
