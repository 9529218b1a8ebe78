#pragma once

#include <cstdint>
#include <vector>

#include "tests/simulation/cluster.h"

namespace arcshard::simulation {

// None, one or two faults, drawn from the seed: of any kind, at any time of the run, the second often soon after the
// first, so that it hits the recovery.
std::vector<Fault> DrawFaults(uint64_t seed, uint32_t shards, uint32_t workers);

}  // namespace arcshard::simulation
