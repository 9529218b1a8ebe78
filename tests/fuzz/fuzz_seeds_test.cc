// Runs the fuzz targets on their seeds, which include inputs that fuzzing found.
#include <filesystem>
#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "tests/fuzz/fuzz_targets.h"

namespace arcshard {

void PrintTo(const FuzzTarget& target, std::ostream* out) { *out << target.name; }

namespace {

class FuzzSeedsTest : public ::testing::TestWithParam<FuzzTarget> {};
INSTANTIATE_TEST_SUITE_P(All, FuzzSeedsTest, ::testing::ValuesIn(kFuzzTargets),
                         [](const auto& target) { return std::string(target.param.name); });

TEST_P(FuzzSeedsTest, NoSeedAndNothingThatASeedBeginsWithDoesHarm) {
  int seeds = 0;
  for (const std::string& folder : {absl::StrCat(ARCSHARD_SOURCE_DIR "/tests/fuzz/seeds/", GetParam().name),
                                    absl::StrCat(ARCSHARD_FUZZ_SEEDS "/", GetParam().name)}) {
    if (!std::filesystem::exists(folder)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string bytes = ReadFile(entry.path()).value();
      GetParam().run(bytes);
      for (size_t length = 0; length < bytes.size(); length += 1 + bytes.size() / 50) {
        GetParam().run(absl::string_view(bytes).substr(0, length));
      }
      ++seeds;
    }
  }
  EXPECT_GT(seeds, 0);
}

}  // namespace
}  // namespace arcshard
