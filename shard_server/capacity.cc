#include "shard_server/capacity.h"

#include "common/base/this_process.h"

namespace arcshard::shard {

int64_t DefaultCapacityBytes() { return UsableMemoryBytes() / 2; }

}  // namespace arcshard::shard
