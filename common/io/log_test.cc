#include "common/io/log.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

TEST(LogTest, ALineHasTimeProcessAndMessage) {
  const absl::Time time =
      absl::FromCivil(absl::CivilSecond(2026, 11, 24, 7, 5, 9), absl::LocalTimeZone()) + absl::Milliseconds(42);
  EXPECT_EQ(FormatLogLine(time, "arcshard-shard 0", "joined view 1.1"),
            "2026-11-24 07:05:09.042 arcshard-shard 0: joined view 1.1\n");
}

TEST(LogTest, AMessageFromAPeerCannotForgeALine) {
  const std::string line = FormatLogLine(absl::UnixEpoch(), "p", "a\nerror: forged\x1b[2J\x7f é");
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_THAT(line, ::testing::EndsWith("p: a error: forged\\x1b[2J\\x7f é\n"));
}

TEST(LogTest, LinesOfManyThreadsStayWhole) {
  SetProcessName("arcshard-test");
  ::testing::internal::CaptureStderr();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int line = 0; line < 100; ++line) LogError("0123456789");
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<std::string> lines =
      absl::StrSplit(::testing::internal::GetCapturedStderr(), '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), 400u);
  for (const std::string& line : lines) EXPECT_THAT(line, ::testing::EndsWith(" arcshard-test: error: 0123456789"));
}

}  // namespace
}  // namespace arcshard
