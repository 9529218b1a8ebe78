// checkpoint_bench runs, prints all its figures, and removes its files. The shard is so small that the figures mean
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

class CheckpointBench : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(testing::TempDir(), "/checkpoint_bench_test_", ::getpid());
    std::filesystem::remove_all(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The program's results with these options; an empty object if it fails.
  json Bench(const std::string& options) {
    std::filesystem::create_directories(folder_);
    const std::string file = folder_ + "/result.json";
    const std::string command =
        absl::StrCat(ARCSHARD_BIN_DIR "/checkpoint_bench --repeats 1 --checkpoints 1 --batch 6 --dim 16 --classes 300 ",
                     "--folder ", folder_, "/run --json ", file, " ", options, " > /dev/null 2> /dev/null");
    if (std::system(command.c_str()) != 0) return json::object();
    std::ifstream stream(file);
    return json::parse(stream, nullptr, /*allow_exceptions=*/false);
  }

  std::string folder_;
};

TEST_P(CheckpointBench, TellsEveryFigureAndLeavesNoFile) {
  const json result = Bench(GetParam());
  for (const char* figure : {"part_mb", "write_mb_per_s", "plain_mb_per_s", "write_ratio", "step_ms", "step_during_ms",
                             "step_ratio", "steps_during"}) {
    ASSERT_TRUE(result.contains(figure)) << figure << " is missing in " << result.dump();
    EXPECT_GT(result[figure].get<double>(), 0.0) << figure;
  }
  for (const char* figure : {"extra_s", "share_percent", "stall_s"}) {
    ASSERT_TRUE(result.contains(figure)) << figure << " is missing in " << result.dump();
    EXPECT_TRUE(result[figure].is_number()) << figure;
  }
  EXPECT_EQ(result["options"]["classes"], 300);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ + "/run")) {
    EXPECT_TRUE(entry.is_directory()) << entry.path();
  }
}

INSTANTIATE_TEST_SUITE_P(Options, CheckpointBench,
                         testing::Values("", "--buffer-mb 1 --threads 3",
                                         "--optimizer adamw --moments bfloat16 --sample-rate 0.1"));

TEST_F(CheckpointBench, APartIsOfTheSizeOfTheRows) {
  EXPECT_NEAR(Bench("--classes 20000")["part_mb"].get<double>(), 20000 * 16 * 8 / 1e6, 0.01);
}

TEST_F(CheckpointBench, AFolderThatCannotBeIsAFailure) { EXPECT_TRUE(Bench("--folder /dev/null/x").empty()); }

}  // namespace
