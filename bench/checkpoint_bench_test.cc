// checkpoint_bench runs, prints all its figures, and removes its files. The shard is so small that the figures mean
// nothing.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/testing/bench_test.h"

namespace arcshard::bench {
namespace {

using nlohmann::json;

class CheckpointBench : public BenchTest, public testing::WithParamInterface<const char*> {
 protected:
  CheckpointBench() : BenchTest("checkpoint_bench --repeats 1 --checkpoints 1 --batch 6 --dim 16 --classes 300") {}
};

TEST_P(CheckpointBench, TellsEveryFigureAndLeavesNoFile) {
  const json result = Bench(GetParam());
  ExpectPositive(result, {"part_mb", "write_mb_per_s", "plain_mb_per_s", "write_ratio", "step_ms", "step_during_ms",
                          "step_ratio", "steps_during"});
  if (HasFatalFailure()) return;
  for (const char* figure : {"extra_s", "share_percent", "stall_s"}) {
    ASSERT_TRUE(result.contains(figure)) << figure << " is missing in " << result.dump();
    EXPECT_TRUE(result[figure].is_number()) << figure;
  }
  EXPECT_EQ(result["options"]["classes"], 300);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(runs())) {
    EXPECT_TRUE(entry.is_directory()) << entry.path();
  }
}

INSTANTIATE_TEST_SUITE_P(Options, CheckpointBench,
                         testing::Values("", "--buffer-mb 1 --threads 3",
                                         "--optimizer adamw --moments bfloat16 --sample-rate 0.1"));

TEST_F(CheckpointBench, APartIsOfTheSizeOfTheRows) {
  EXPECT_NEAR(Bench("--classes 20000")["part_mb"].get<double>(), 20000 * 16 * 8 / 1e6, 0.01);
}

TEST_F(CheckpointBench, AFolderThatCannotBeIsAFailure) { EXPECT_TRUE(Run("--folder /dev/null/x").empty()); }

}  // namespace
}  // namespace arcshard::bench
