#pragma once

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "common/config/head_memory.h"

namespace arcshard::coordinator {

// The bytes that a range of so many classes occupies on its shard.
using BytesOfRange = absl::FunctionRef<HeadRangeBytes(int64_t classes)>;

// Cuts the classes [0, num_classes) into one contiguous range per shard, in the order of `capacities` (bytes). A
// range's size is proportional to its shard's capacity: it differs from num_classes·capacity/total by less than one
// class. A range may be empty: where there are more shards than classes, and always for a shard without capacity. A
// pure function, exact in integers. InvalidArgument: num_classes < 1, or no shard. ResourceExhausted: a range doesn't
// fit its shard's capacity; the message gives the figures.
absl::StatusOr<std::vector<ClassRange>> AssignRanges(int64_t num_classes, absl::Span<const uint64_t> capacities,
                                                     BytesOfRange bytes_of);

}  // namespace arcshard::coordinator
