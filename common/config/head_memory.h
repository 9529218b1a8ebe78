#pragma once

#include <cstdint>

#include "common/config/run_config.h"

namespace arcshard {

// Bytes that a shard holds for each of its classes, whatever becomes of a step: the weights and the optimizer's moments
// of D values each, the inverse norm, and AdamW's count of steps. The coordinator plans ranges with it.
int64_t HeadBytesPerClass(const RunConfig& config);

// Bytes of an exponential that pass 1 keeps for pass 2: they are of the type that the products compute with.
int64_t HeadBytesPerExponential(const RunConfig& config);

}  // namespace arcshard
