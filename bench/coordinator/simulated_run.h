#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/coordinator/simulated_member.h"

namespace arcshard::bench {

// How many members a run has.
struct Size {
  uint32_t shards = 1;
  uint32_t workers = 1;
  uint32_t members() const { return shards + workers; }
};

// The members of a run, the shards first.
std::vector<SimulatedMember> MembersOf(const Size& size);

// Writes the configuration of a run of this size in `folder`, which it makes empty, and returns the file's path. Each
// worker has two micro-batches in a step; no checkpoint and no verification is ever due.
absl::StatusOr<std::string> WriteConfig(const Size& size, const std::string& folder);

}  // namespace arcshard::bench
