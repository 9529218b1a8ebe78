#pragma once

#include <cstdint>

#include "common/config/run_config.h"

namespace arcshard {

// What a shard holds for each of its classes, whatever becomes of a step, in bytes.
struct HeadBytes {
  int64_t weights = 0;       // D values
  int64_t moments = 0;       // of the optimizer: D values each
  int64_t count = 0;         // of AdamW's steps
  int64_t inverse_norm = 0;  // 1/|w|
};
HeadBytes HeadBytesOfAClass(const RunConfig& config);

// Their sum. The coordinator plans ranges with it.
int64_t HeadBytesPerClass(const RunConfig& config);

// Bytes of an exponential that pass 1 keeps for pass 2: they are of the type that the products compute with.
int64_t HeadBytesPerExponential(const RunConfig& config);

}  // namespace arcshard
