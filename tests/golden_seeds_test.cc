// The reference cases of tests/data/golden made with other seeds, so that no tolerance is tuned to the numbers of one.
#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "gtest/gtest.h"
#include "test_paths.h"

namespace arcshard {
namespace {

constexpr int kSeeds = 20;

class GoldenSeedsTest : public ::testing::TestWithParam<int> {
 protected:
  // Runs a command, whose output is shown if it fails.
  static void Run(const std::string& command) {
    const std::string log = ::testing::TempDir() + "log";
    EXPECT_EQ(std::system(absl::StrCat(command, " >", log, " 2>&1").c_str()), 0) << command << "\n"
                                                                                 << ReadFile(log).value_or("");
  }
};

TEST_P(GoldenSeedsTest, GivesCasesThatPassWithTheSameTolerances) {
  const std::string folder = ::testing::TempDir() + "golden";
  Run(absl::StrCat(ARCSHARD_SOURCE_DIR "/.deps/python/bin/python -B " ARCSHARD_SOURCE_DIR
                                       "/tests/data/golden/make_golden.py ",
                   folder, " ", GetParam()));
  const std::string cases = absl::StrCat("ARCSHARD_GOLDEN_DIR=", folder, " " ARCSHARD_BIN_DIR "/../test/");
  Run(cases + "head_golden_test --gtest_brief=1 --gtest_filter='*GoldenTest*'");
  Run(cases + "loss_test --gtest_brief=1 --gtest_filter='*LossGolden*'");
  Run(cases + "sharded_golden_test --gtest_brief=1 --gtest_filter='*in_process*'");
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Seeds, GoldenSeedsTest, ::testing::Range(2, 2 + kSeeds));

}  // namespace
}  // namespace arcshard
