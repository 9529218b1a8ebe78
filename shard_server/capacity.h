#pragma once

#include <cstdint>

namespace arcshard::shard {

// The memory in bytes that a shard on the CPU fills at most by default: half of this machine's, or of its control
// group's limit if that is less.
int64_t DefaultCapacityBytes();

}  // namespace arcshard::shard
