#pragma once

#include <cstdint>

namespace arcshard::worker {

// For which micro-batch a forward pass is.
struct ForwardContext {
  bool training = false;
  uint64_t step = 0;         // with micro_batch: of dropout's random stream
  uint32_t micro_batch = 0;  // its number in the step's global batch
  double weight = 1.0;       // n_μ/B, its share of the step's samples: of its batch statistics
};

}  // namespace arcshard::worker
