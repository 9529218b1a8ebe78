// coordinator_bench runs, prints all its figures, and removes its files. The runs are so small that the figures mean
// nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/coordinator/growth.h"
#include "bench/testing/bench_test.h"

namespace arcshard::bench {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class CoordinatorBench : public BenchTest {
 protected:
  CoordinatorBench() : BenchTest("coordinator_bench --sizes 1,3 --steps 2") {}

  static void ExpectFigures(const json& rows, const std::vector<std::string>& names) {
    ASSERT_EQ(rows.size(), 2);
    for (const json& row : rows) ExpectPositive(row, names);
  }
};

TEST_F(CoordinatorBench, TellsWhatAStepCostsInProcess) {
  const json result = Bench("--where in_process");
  ASSERT_FALSE(result.empty());
  for (const char* series : {"in_process", "in_process_one_worker", "in_process_one_shard"}) {
    ExpectFigures(result[series], {"step_ms", "us_per_member", "votes_ms", "beats_ms", "ticks_ms", "last_vote_ms",
                                   "join_ms", "hang_tick_ms"});
  }
  // A single worker waits for no other, so that there is no new view.
  EXPECT_EQ(result["in_process_one_worker"][1]["new_view_ms"], 0.0);
  EXPECT_GT(result["in_process"][1]["new_view_ms"], 0.0);
  EXPECT_EQ(result["in_process"][1]["shards"], 3);
  EXPECT_EQ(result["in_process"][1]["workers"], 3);
  EXPECT_EQ(result["in_process_one_worker"][1]["workers"], 1);
  EXPECT_EQ(result["in_process_one_shard"][1]["shards"], 1);
  EXPECT_EQ(result["growth"].size(), 3);
  EXPECT_FALSE(result.contains("loopback"));
  EXPECT_FALSE(std::filesystem::exists(runs()));
}

TEST_F(CoordinatorBench, TellsWhatAStepCostsOverLoopback) {
  const json result = Bench("--where loopback");
  ASSERT_FALSE(result.empty());
  ExpectFigures(result["loopback"], {"step_wall_ms", "last_vote_ms", "join_ms", "peak_mb"});
  EXPECT_THAT(Text("output"), HasSubstr("linear growth"));
  EXPECT_FALSE(std::filesystem::exists(runs()));
}

TEST_F(CoordinatorBench, WhatItCannotDoIsAFailure) {
  EXPECT_TRUE(Run("--where nowhere").empty());
  EXPECT_TRUE(Run("--sizes 0").empty());
}

TEST(GrowthTest, TheExponentIsThatOfTheLastTwoPoints) {
  EXPECT_NEAR(GrowthExponent({"linear", '*', {{2, 5}, {20, 1}, {200, 10}}}), 1.0, 1e-9);
  EXPECT_NEAR(GrowthExponent({"quadratic", '*', {{10, 3}, {20, 12}}}), 2.0, 1e-9);
}

TEST(GrowthTest, ThePlotHasAMarkForEachPointAndTheirNames) {
  const std::string plot = PlotOf({{"one", 'X', {{10, 1}, {1000, 100}}}, {"other", 'Y', {{10, 50}}}});
  EXPECT_EQ(std::count(plot.begin(), plot.end(), 'X'), 3) << plot;  // two points, and the name's
  EXPECT_EQ(std::count(plot.begin(), plot.end(), 'Y'), 2) << plot;
  EXPECT_THAT(plot, HasSubstr("X  one"));
  EXPECT_THAT(plot, HasSubstr("Y  other"));
}

}  // namespace
}  // namespace arcshard::bench
