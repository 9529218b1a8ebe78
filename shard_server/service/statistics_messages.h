#pragma once

#include <vector>

#include "arcshard/v1/shard.pb.h"
#include "common/protocol/types.h"
#include "common/protocol/wire_type.h"
#include "shard_server/state/shard_output.h"

namespace arcshard::shard {

// Encodes the statistics of a micro-batch: in one message where they fit 1 MiB, otherwise in several, each with a piece
// of U or of the own centers. The first one carries z and own_rows. U and the own centers become `type`.
std::vector<v1::ShardMessage> StatisticsMessages(const Key& key, const PartialStatistics& statistics, WireType type);

}  // namespace arcshard::shard
