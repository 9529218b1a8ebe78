#pragma once

#include <cstdint>

#include "common/protocol/best_verification.h"

namespace arcshard {

// What the coordinator counts over the whole run. It outlives a coordinator: manifests keep it, decisions carry it, and
// participants give it back when they register with another coordinator.
struct RunCounters {
  uint64_t skipped = 0;  // steps
  uint64_t skips_in_a_row = 0;
  uint64_t corrupt_records = 0;
  uint64_t corrupt_in_epoch = 0;  // in the epoch of the last counted step
  uint64_t verified_step = 0;     // after which the last verification ended
  BestVerification best = {};
  friend bool operator==(const RunCounters&, const RunCounters&) = default;
};

}  // namespace arcshard
