#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "shard_server/head/head.h"

namespace arcshard::shard {

// Makes `head` hold what Head::Create gave it, bit by bit: the first weights, moments of 0 and counts of 0. Nothing of
// what it held is left. block_bytes: of rows as float32 that are made at a time, which need memory beside the head's
// own. Errors as of Head::Create and the writing of rows.
absl::Status WriteFirstRows(head::Head* head, int64_t block_bytes = int64_t{64} << 20);

}  // namespace arcshard::shard
