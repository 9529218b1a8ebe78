#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "test_paths.h"

namespace arcshard::bench {

// Runs a benchmark of the folder bin/ with files of its own, which are removed.
class BenchTest : public testing::Test {
 protected:
  // command: the program, and options of all its runs.
  explicit BenchTest(const std::string& command) : command_(command) { std::filesystem::create_directories(folder_); }
  ~BenchTest() override { std::filesystem::remove_all(folder_); }

  // The program's results with these options, which may replace earlier ones; an empty object if it fails.
  nlohmann::json Run(const std::string& options) {
    const std::string file = folder_ + "/result.json";
    const std::string line = absl::StrCat(ARCSHARD_BIN_DIR "/", command_, " --folder ", runs(), " --json ", file, " ",
                                          options, " > ", folder_, "/output 2> ", folder_, "/errors");
    if (std::system(line.c_str()) != 0) return nlohmann::json::object();
    std::ifstream stream(file);
    return nlohmann::json::parse(stream, nullptr, /*allow_exceptions=*/false);
  }
  // The same; it must not fail.
  nlohmann::json Bench(const std::string& options) {
    nlohmann::json result = Run(options);
    EXPECT_FALSE(result.empty()) << Text("errors");
    return result;
  }
  // What the last run has written to "output" or "errors".
  std::string Text(const std::string& name) const {
    std::ifstream stream(folder_ + "/" + name);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  static void ExpectPositive(const nlohmann::json& result, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      ASSERT_TRUE(result.contains(name)) << name << " is missing in " << result.dump();
      EXPECT_GT(result[name].get<double>(), 0.0) << name;
    }
  }

  std::string runs() const { return folder_ + "/runs"; }  // the program's --folder
  const std::string folder_ = absl::StrCat(testing::TempDir(), "/bench_test_", getpid());

 private:
  const std::string command_;
};

}  // namespace arcshard::bench
