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

// The sum of HeadBytesOfAClass.
int64_t HeadBytesPerClass(const RunConfig& config);

// The bytes of the exponentials of a whole batch, in the type of the matrix products, where so many of a shard's
// classes take part in a step. The rows and columns of the products are counted as the head pads them.
int64_t HeadExponentialBytes(const RunConfig& config, int64_t classes_in_step);

// What a shard can use of head.exp_budget_mb where so many of its classes take part in a step: for these exponentials,
// and for 16 MiB at most of the gradient, which it forms before the decision in the memory that they leave.
int64_t HeadKeptBytes(const RunConfig& config, int64_t classes_in_step);

// What a shard with `classes` classes occupies. At most 2^63 - 1 each.
struct HeadRangeBytes {
  int64_t rows = 0;  // what it holds of each class
  // HeadKeptBytes of a step. With sampling, no step of a run of any length has more classes than are counted; if one
  // had, some exponentials would be computed twice.
  int64_t kept = 0;
};

// The coordinator plans class ranges with it, and a shard reserves and reports so much.
HeadRangeBytes HeadBytesOfRange(const RunConfig& config, int64_t classes);

// The most that a shard's replay log occupies (cluster.log_mb), in a run of so many shards. A single shard keeps none:
// nobody could read it. It is memory of the host, beside that of the range, and a shard's capacity does not include it.
int64_t ReplayLogBytes(const RunConfig& config, int64_t shards);

}  // namespace arcshard
