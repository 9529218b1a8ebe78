#include "cli/supervision/log_tail.h"

#include <filesystem>
#include <fstream>
#include <string>

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

}  // namespace
}  // namespace arcshard::cli
