#pragma once

#include <cstdint>

#include "common/config/run_config.h"

namespace arcshard {

// A hash over the keys that determine the numbers of a step: two runs with the same one, the same training set and the
// same members compute the same from the same state. Where a run keeps its files, how long it lasts, its learning
// rates, which decisions carry, and its members are not part of it.
uint64_t ComputeFingerprint(const RunConfig& config);

}  // namespace arcshard
