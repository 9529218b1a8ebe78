#include <cstdint>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/run_seed.h"

namespace arcshard::simulation {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  uint64_t value = otherwise;
  if (text != nullptr && !absl::SimpleAtoi(text, &value)) ADD_FAILURE() << name << " is not a number: " << text;
  return value;
}

TEST(SimulationTest, ARunWithoutFaultsEndsWithoutViolations) {
  Cluster cluster{ClusterOptions{}};
  cluster.RunFor(kLimit);
  EXPECT_TRUE(cluster.violations().empty()) << absl::StrJoin(cluster.log(), "\n");
  EXPECT_TRUE(cluster.finished());
  EXPECT_EQ(cluster.progress().step, 100);
  EXPECT_EQ(cluster.progress().recoveries, 0);
  EXPECT_EQ(cluster.disk().model.size(), 4) << "three ranges and a backbone";
}

// Returns the number of recoveries.
uint64_t RunSeeds(uint64_t first, uint64_t count) {
  const Model expected = ModelWithoutFaults();
  uint64_t recoveries = 0;
  int failed = 0;
  for (uint64_t seed = first; seed < first + count && failed < 3; ++seed) {
    const SeedResult result = RunSeed(seed, expected);
    recoveries += result.recoveries;
    failed += result.problem.empty() ? 0 : 1;
    EXPECT_EQ(result.problem, "");
  }
  return recoveries;
}

TEST(SimulationTest, WhateverTwoFaultsDoNoStepIsLostAndTheModelIsTheSame) {
  if (const uint64_t only = FromEnvironment("ARCSHARD_SIMULATION_SEED", 0); only > 0) {
    RunSeeds(only, 1);
    return;
  }
  const uint64_t first = FromEnvironment("ARCSHARD_SIMULATION_FIRST_SEED", 1);
  const uint64_t count = FromEnvironment("ARCSHARD_SIMULATION_SEEDS", 3000);
  EXPECT_GT(RunSeeds(first, count), count / 4) << "the faults are to hit the runs";
}

}  // namespace
}  // namespace arcshard::simulation
