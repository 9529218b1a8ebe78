// recovery_bench runs, prints all its figures, and removes its files. The run is so small that the figures mean
// nothing.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/testing/bench_test.h"

namespace arcshard::bench {
namespace {

class RecoveryBench : public BenchTest {
 protected:
  RecoveryBench() : BenchTest("recovery_bench --batch 8 --micro-batch 4 --dim 16 --classes 300 --width 4") {}

  static void ExpectFigures(const nlohmann::json& result, const std::vector<std::string>& names) {
    ExpectPositive(result, names);
    if (HasFatalFailure()) return;
    EXPECT_EQ(result["options"]["classes"], 300);
  }
};

TEST_F(RecoveryBench, TellsHowSoonARunGoesOnAndLeavesNoFile) {
  ExpectFigures(Bench("--repeats 1 --pairs 0 --heartbeat-timeout 3s --steps-in-log 5"),
                {"worker_s", "worker_max_s", "coordinator_s", "coordinator_max_s", "hang_s", "hang_max_s", "shard_s",
                 "shard_max_s", "load_s", "replay_s", "predicted_replay_s", "shard_bound_s", "replay_ratio",
                 "replay_ratio_quartile_1", "replay_ratio_quartile_3", "replayed_steps"});
  EXPECT_TRUE(std::filesystem::is_empty(runs()));
}

TEST_F(RecoveryBench, TellsWhatTheLogCosts) {
  ExpectFigures(Bench("--repeats 0 --pairs 2 --steps-in-slice 2"),
                {"step_ms", "log_ratio", "log_ratio_quartile_1", "log_ratio_quartile_3", "log_processor_ratio",
                 "log_processor_ratio_quartile_1", "log_processor_ratio_quartile_3"});
  EXPECT_TRUE(std::filesystem::is_empty(runs()));
}

}  // namespace
}  // namespace arcshard::bench
