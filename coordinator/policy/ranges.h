#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "common/config/run_config.h"

namespace arcshard::coordinator {

// A range of n classes occupies n·bytes_per_class + min(n·kept_bytes_per_class, kept_bytes_limit) bytes on its shard.
struct Footprint {
  uint64_t bytes_per_class = 0;       // weights, moments, 1/norm
  uint64_t kept_bytes_per_class = 0;  // exponentials that pass 1 keeps, if their budget allows
  uint64_t kept_bytes_limit = 0;      // their budget
};

// The footprint of a run's classes. `config` is valid.
Footprint FootprintOf(const RunConfig& config);

// Cuts the classes [0, num_classes) into one contiguous range per shard, in the order of `capacities` (bytes). A
// range's size is proportional to its shard's capacity: it differs from num_classes·capacity/total by less than one
// class. A range may be empty: where there are more shards than classes, and always for a shard without capacity. A
// pure function, exact in integers. InvalidArgument: num_classes < 1, or no shard. ResourceExhausted: a range doesn't
// fit its shard's capacity; the message gives the figures.
absl::StatusOr<std::vector<ClassRange>> AssignRanges(int64_t num_classes, absl::Span<const uint64_t> capacities,
                                                     const Footprint& footprint);

}  // namespace arcshard::coordinator
