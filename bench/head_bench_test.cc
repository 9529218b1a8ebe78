// head_bench runs and prints all its figures. The shapes are so small that the figures mean nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "test_paths.h"

namespace {

using nlohmann::json;

// Options for a small shape, where `options` does not set them.
std::string Shape(const std::string& options) {
  std::string shape;
  for (const char* dimension : {"--batch 6 ", "--dim 16 ", "--classes 300 "}) {
    const std::string name = std::string(dimension).substr(0, std::string(dimension).find(' '));
    if (options.find(name) == std::string::npos) shape += dimension;
  }
  return shape;
}

// The program's results with these options; an empty object if it fails.
json Bench(const std::string& options) {
  const std::string file = absl::StrCat(testing::TempDir(), "/head_bench_test_", ::getpid(), ".json");
  const std::string command = absl::StrCat(ARCSHARD_BIN_DIR "/head_bench --repeats 1 ", Shape(options), options,
                                           " --json ", file, " > /dev/null");
  if (std::system(command.c_str()) != 0) return json::object();
  std::ifstream stream(file);
  json result = json::parse(stream, nullptr, /*allow_exceptions=*/false);
  std::remove(file.c_str());
  return result;
}

class HeadBench : public testing::TestWithParam<std::string> {};

TEST_P(HeadBench, TellsEveryFigureAndWhatItMeasured) {
  const json result = Bench(GetParam());
  for (const char* figure : {"step_ms", "replay_ms", "products_ms", "stream_ms", "read_ms", "step_wall_ms",
                             "floor_ratio", "ratio", "peak_extra_mb"}) {
    ASSERT_TRUE(result.contains(figure)) << figure << " is missing in " << result.dump();
    EXPECT_TRUE(result[figure].is_number()) << figure;
  }
  for (const char* positive : {"step_ms", "replay_ms", "products_ms", "stream_ms", "floor_ratio", "ratio"}) {
    EXPECT_GT(result[positive].get<double>(), 0.0) << positive;
  }
  EXPECT_GT(result["ratio"].get<double>(), result["floor_ratio"].get<double>());
  EXPECT_FALSE(result["processor"].get<std::string>().empty());
  EXPECT_FALSE(result["versions"]["libtorch"].get<std::string>().empty());
  EXPECT_FALSE(result["versions"]["compiler"].get<std::string>().empty());
  EXPECT_FALSE(result["products"]["routine"].get<std::string>().empty());
  EXPECT_EQ(result["options"]["classes"], 300);
  EXPECT_GE(result["threads"], 1);
}

INSTANTIATE_TEST_SUITE_P(Options, HeadBench,
                         testing::Values("", "--threads 2 --exp-budget-mb 1", "--batch 5 --dim 15",
                                         "--sample-rate 0.1 --optimizer adamw",
                                         "--compute bfloat16 --weights bfloat16 --moments bfloat16",
                                         "--compute bfloat16 --batch 7 --dim 17", "--weights bfloat16"));

TEST(HeadBenchTest, ProductsAreFourWhereNothingIsKeptAndThreeWhereAllIs) {
  EXPECT_EQ(Bench("--exp-budget-mb 0")["products"]["count"], 4.0);
  EXPECT_EQ(Bench("--exp-budget-mb 64")["products"]["count"], 3.0);
}

TEST(HeadBenchTest, SampledOnlyTheClassesThatTakePartCount) {
  EXPECT_EQ(Bench("")["active_classes"], 300);
  const json result = Bench("--sample-rate 0.1");
  EXPECT_GT(result["active_classes"], 0);
  EXPECT_LT(result["active_classes"], 100);
}

TEST(HeadBenchTest, WeightsThatTheProductsTakeAsTheyAreAreNotRead) {
  EXPECT_LT(Bench("--classes 20000 --dim 64")["read_ms"].get<double>(),
            Bench("--classes 20000 --dim 64 --compute bfloat16")["read_ms"].get<double>());
}

TEST(HeadBenchTest, WhatItCannotDoIsAFailure) {
  EXPECT_TRUE(Bench("--device nowhere 2> /dev/null").empty());
  EXPECT_TRUE(Bench("--compute float64 2> /dev/null").empty());
}

}  // namespace
