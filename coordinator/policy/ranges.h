#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "common/config/run_config.h"

namespace arcshard::coordinator {

// What a range of n classes occupies on its shard: n·bytes_per_class + min(n·kept_bytes_per_class, kept_bytes_limit).
struct Footprint {
  uint64_t bytes_per_class = 0;       // weights, moments, 1/norm
  uint64_t kept_bytes_per_class = 0;  // exponentials kept from pass 1, if there were no budget
  uint64_t kept_bytes_limit = 0;      // their budget
};

// Of a run's classes. `config` is valid.
Footprint FootprintOf(const RunConfig& config);

// Cuts classes [0, num_classes) into one contiguous range per shard, in the order of `capacities` (bytes), sizes
// proportional to capacity: each differs from num_classes·capacity/total by less than one class. There may be more
// shards than classes; a range may be empty, and is for a shard of no capacity. A pure function, exact in integers.
// InvalidArgument: num_classes < 1, or no shard.
// ResourceExhausted: a range doesn't fit its shard's capacity; the message has the figures.
absl::StatusOr<std::vector<ClassRange>> AssignRanges(int64_t num_classes, absl::Span<const uint64_t> capacities,
                                                     const Footprint& footprint);

}  // namespace arcshard::coordinator
