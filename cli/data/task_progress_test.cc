#include "cli/data/task_progress.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

class TaskProgressTest : public ::testing::Test {
 protected:
  TaskProgress::Options Options(bool terminal) {
    return {.write = [this](absl::string_view text) { written_.append(text.data(), text.size()); },
            .elapsed = [this] { return now_; },
            .terminal = terminal,
            .interval = absl::Seconds(10)};
  }

  absl::Duration now_ = absl::Seconds(5000);
  std::string written_;
};

TEST_F(TaskProgressTest, ALineNowAndThenSaysHowFarItIsAndHowLongItTakes) {
  TaskProgress progress(Options(false));
  for (int64_t done = 0; done < 100; ++done) {
    progress.Show("checked", done, 100);
    now_ += absl::Seconds(1);
  }
  EXPECT_THAT(written_, ::testing::StartsWith("checked 10 of 100, 10 %, 1m30s left\nchecked 20 of 100, 20 %, 1m20s"));
  EXPECT_THAT(written_, ::testing::EndsWith("checked 90 of 100, 90 %, 10s left\n"));
}

TEST_F(TaskProgressTest, AnotherTaskCountsItsOwnTime) {
  TaskProgress progress(Options(false));
  progress.Show("checked", 0, 2);
  now_ += absl::Hours(1);
  progress.Show("packed", 0, 20);
  now_ += absl::Seconds(10);
  progress.Show("packed", 10, 20);
  EXPECT_EQ(written_, "packed 10 of 20, 50 %, 10s left\n");
}

TEST_F(TaskProgressTest, OnATerminalTheLineIsOverwrittenAndErased) {
  {
    TaskProgress progress(Options(true));
    progress.Show("packed", 1, 4);
    EXPECT_EQ(written_, "") << "what takes no time shows nothing";
    now_ += absl::Seconds(10);
    progress.Show("packed", 2, 4);
    EXPECT_EQ(written_, "\rpacked 2 of 4, 50 %, 10s left\x1b[K");
  }
  EXPECT_THAT(written_, ::testing::EndsWith("\r\x1b[K"));
}

}  // namespace
}  // namespace arcshard::cli
