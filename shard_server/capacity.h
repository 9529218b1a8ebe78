#pragma once

#include <cstdint>

namespace arcshard::shard {

// Bytes that a shard on the CPU may fill where nobody says: half of this machine's memory, or of its control group's
// if that is less.
int64_t DefaultCapacityBytes();

}  // namespace arcshard::shard
