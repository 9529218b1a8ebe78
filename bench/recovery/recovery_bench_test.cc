// recovery_bench runs, prints all its figures, and removes its files. The run is so small that the figures mean
// nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "test_paths.h"

namespace {

using nlohmann::json;

class RecoveryBench : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(testing::TempDir(), "/recovery_bench_test_", ::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The program's results with these options; an empty object if it fails.
  json Bench(const std::string& options) {
    const std::string file = folder_ + "/result.json";
    const std::string command =
        absl::StrCat(ARCSHARD_BIN_DIR "/recovery_bench --batch 8 --micro-batch 4 --dim 16 --classes 300 --width 4 ",
                     "--folder ", folder_, "/runs --json ", file, " ", options, " > /dev/null 2> ", folder_, "/errors");
    if (std::system(command.c_str()) != 0) {
      std::ifstream errors(folder_ + "/errors");
      ADD_FAILURE() << std::string(std::istreambuf_iterator<char>(errors), {});
      return json::object();
    }
    std::ifstream stream(file);
    return json::parse(stream, nullptr, /*allow_exceptions=*/false);
  }
  static void ExpectFigures(const json& result, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      ASSERT_TRUE(result.contains(name)) << name << " is missing in " << result.dump();
      EXPECT_GT(result[name].get<double>(), 0.0) << name;
    }
    EXPECT_EQ(result["options"]["classes"], 300);
  }

  std::string folder_;
};

TEST_F(RecoveryBench, TellsHowSoonARunGoesOnAndLeavesNoFile) {
  ExpectFigures(Bench("--repeats 1 --pairs 0 --heartbeat-timeout 3s --steps-in-log 5"),
                {"worker_s", "worker_max_s", "coordinator_s", "coordinator_max_s", "hang_s", "hang_max_s", "shard_s",
                 "shard_max_s", "load_s", "replay_s", "predicted_replay_s", "shard_bound_s", "replay_ratio",
                 "replay_ratio_quartile_1", "replay_ratio_quartile_3", "replayed_steps"});
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/runs"));
}

TEST_F(RecoveryBench, TellsWhatTheLogCosts) {
  ExpectFigures(Bench("--repeats 0 --pairs 2 --steps-in-slice 2"),
                {"step_ms", "log_ratio", "log_ratio_quartile_1", "log_ratio_quartile_3", "log_processor_ratio",
                 "log_processor_ratio_quartile_1", "log_processor_ratio_quartile_3"});
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/runs"));
}

}  // namespace
