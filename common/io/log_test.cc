#include "common/io/log.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/io/file.h"
#include "common/io/log_file.h"
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

// Logs as a process does whose stdout and stderr are the file `path` of `size` bytes, and whose environment has
// `variable` as ARCSHARD_LOG_FILE; renames the file meanwhile, and ends.
[[noreturn]] void LogInto(const std::string& path, off_t size, const std::string& variable) {
  setenv(std::string(kLogFileVariable).c_str(), variable.c_str(), 1);
  const FileDescriptor file = *OpenToAppend(path);
  bool ready = ftruncate(file.get(), size) == 0;
  for (const int output : {STDOUT_FILENO, STDERR_FILENO}) ready = ready && dup2(file.get(), output) == output;
  LogInfo("one");
  LogError("two");
  ready = ready && rename(path.c_str(), (path + ".renamed").c_str()) == 0;
  LogInfo("three");
  ready = ready && write(STDOUT_FILENO, "four\n", 5) == 5;
  std::_Exit(ready ? 0 : 1);
}

TEST(LogDeathTest, AFullFileOfTheLauncherIsPutAsideAndARenamedOneBegunAgain) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // in a process that has not logged yet
  const std::string path = ::testing::TempDir() + "/worker-0.log";
  EXPECT_EXIT(LogInto(path, LogFile::kMostBytes, path), ::testing::ExitedWithCode(0), "");
  ASSERT_EQ(std::filesystem::file_size(path + ".1"), LogFile::kMostBytes);
  EXPECT_THAT(ReadFile(path + ".renamed").value_or(""),
              ::testing::MatchesRegex("[-0-9]+ [0-9:.]+ one\n[-0-9]+ [0-9:.]+ error: two\n"));
  EXPECT_THAT(ReadFile(path).value_or(""), ::testing::MatchesRegex("[-0-9]+ [0-9:.]+ three\nfour\n"));
}

TEST(LogDeathTest, AFileThatIsNotTheLaunchersIsLeftAlone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::string path = ::testing::TempDir() + "/mine.log";
  EXPECT_EXIT(LogInto(path, LogFile::kMostBytes, ""), ::testing::ExitedWithCode(0), "");
  const std::string lines = ReadFile(path + ".renamed").value_or("").substr(LogFile::kMostBytes);
  EXPECT_THAT(lines, ::testing::MatchesRegex("[^\n]* one\n[^\n]* error: two\n[^\n]* three\nfour\n"));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".1"));
}

}  // namespace
}  // namespace arcshard
