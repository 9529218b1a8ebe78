// Linked with a source file that has a bug in it (planted/): the simulation has to find it.
#include <cstdint>
#include <cstdio>

#include "gtest/gtest.h"
#include "tests/simulation/run_seed.h"

namespace arcshard::simulation {
namespace {

constexpr uint64_t kSeeds = 3000;  // as many as the simulation's test takes

TEST(PlantedBugTest, IsFound) {
  const Model expected{ModelWithoutFaults()};
  if (expected.size() != 4) return;  // not even a run without faults ends as it should
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const SeedResult result = RunSeed(seed, expected);
    if (result.problem.empty()) continue;
    std::fprintf(stderr, "found after %d seeds\n", static_cast<int>(seed));
    return;
  }
  FAIL() << "no seed up to " << kSeeds << " finds it";
}

}  // namespace
}  // namespace arcshard::simulation
