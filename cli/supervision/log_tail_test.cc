#include "cli/supervision/log_tail.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

TEST(LogTailTest, TheLastErrorCountsEvenIfOtherLinesFollow) {
  EXPECT_EQ(LastError("2026-11-24 07:00:00.123 arcshard-shard 0: error: first\n"
                      "2026-11-24 07:00:00.124 arcshard-shard 0: error: port 9: in use\n"
                      "2026-11-24 07:00:00.125 arcshard-shard 0: leaving\n"),
            "port 9: in use");
}

TEST(LogTailTest, WithoutAnErrorTheLastLineIsReturned) {
  EXPECT_EQ(LastError("a\nterminate called\n  what():  out of range\n\n \n"), "what():  out of range");
  EXPECT_EQ(LastError("error: at the very start"), "at the very start");
  EXPECT_EQ(LastError("no terror: here"), "no terror: here");
}

TEST(LogTailTest, AnEmptyLogSaysNothing) {
  EXPECT_EQ(LastError(""), "");
  EXPECT_EQ(LastError("\n\n"), "");
  EXPECT_EQ(LastErrorOfFile("/nonexistent/log"), "");
}

TEST(LogTailTest, OnlyTheEndOfALongFileIsRead) {
  const std::string path = ::testing::TempDir() + "log_tail_test.log";
  std::ofstream(path) << "x: error: too far back\n" << std::string(100 << 10, 'x') << "\nthe last words\n";
  EXPECT_EQ(LastErrorOfFile(path), "the last words");
  std::filesystem::remove(path);
}

TEST(LogTailTest, ALaterLifeIsAddedToTheLogAndAnswersForItself) {
  const std::string path = ::testing::TempDir() + "log_tail_lives_test.log";
  std::filesystem::remove(path);
  const auto live = [&path](const std::string& says) {
    const auto log = OpenLog(path, absl::Now());
    ASSERT_TRUE(log.ok()) << log.status();
    ASSERT_EQ(write(log->get(), says.data(), says.size()), static_cast<ssize_t>(says.size()));
  };
  live("arcshard-shard 0: error: of the first life\ncut o");
  EXPECT_EQ(LastErrorOfFile(path), "of the first life");
  live("");
  EXPECT_EQ(LastErrorOfFile(path), "");
  live("of the third life\n");
  EXPECT_EQ(LastErrorOfFile(path), "of the third life");
  const std::string all = *ReadFile(path);
  EXPECT_TRUE(absl::StartsWith(all, "arcshard-shard 0: error: of the first life\ncut o\n---- 2")) << all;
  std::filesystem::remove(path);
}

TEST(LogTailTest, ALifeSaysWhyItBegan) {
  const std::string path = ::testing::TempDir() + "log_tail_why_test.log";
  std::filesystem::remove(path);
  std::ofstream(path) << "x: error: of the first life\n";
  ASSERT_TRUE(OpenLog(path, absl::Now(), "the last one was killed by signal 9 (SIGKILL)").ok());
  EXPECT_TRUE(absl::EndsWith(*ReadFile(path),
                             " the last one was killed by signal 9 (SIGKILL); another life of this process begins "
                             "----\n"));
  EXPECT_EQ(LastErrorOfFile(path), "");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace arcshard::cli
