#pragma once

#include <vector>

#include "arcshard/v1/shard.pb.h"
#include "common/protocol/types.h"
#include "shard_server/state/shard_output.h"

namespace arcshard::shard {

// The statistics of a micro-batch as they travel: one message where they fit 1 MiB, else several, each with a piece of
// U or of the own centers; z and own_rows go with the first.
std::vector<v1::ShardMessage> StatisticsMessages(const Key& key, const Statistics& statistics);

}  // namespace arcshard::shard
