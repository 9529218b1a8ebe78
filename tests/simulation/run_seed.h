#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "tests/simulation/cluster.h"

namespace arcshard::simulation {

// No run of two epochs takes so long, whatever the faults.
inline constexpr absl::Duration kLimit = absl::Minutes(5);

// By what was written: the state, as a run's end has it.
using Model = std::map<std::string, uint64_t>;

// What a run without faults ends with. A run with faults ends with the same, because what the stand-in for the
// arithmetic computes depends neither on the number of workers nor on what was repeated.
Model ModelWithoutFaults();

struct SeedResult {
  uint64_t recoveries = 0;
  std::string problem;  // what was wrong, with the faults and the last lines of the log; empty: nothing
};
// A run of three shards and three workers with the faults of `seed`.
SeedResult RunSeed(uint64_t seed, const Model& expected);

}  // namespace arcshard::simulation
