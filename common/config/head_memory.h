#pragma once

#include <cstdint>

#include "common/config/run_config.h"

namespace arcshard {

// The bytes that a shard holds permanently for each of its classes.
struct HeadBytes {
  int64_t weights = 0;       // D values
  int64_t moments = 0;       // the optimizer's: D values each
  int64_t count = 0;         // AdamW's number of steps
  int64_t inverse_norm = 0;  // 1/|w|
};
HeadBytes HeadBytesOfAClass(const RunConfig& config);

// The sum of HeadBytesOfAClass. The coordinator plans class ranges with it.
int64_t HeadBytesPerClass(const RunConfig& config);

// The bytes of one exponential that pass 1 keeps for pass 2. Exponentials have the type of the matrix products.
int64_t HeadBytesPerExponential(const RunConfig& config);

}  // namespace arcshard
