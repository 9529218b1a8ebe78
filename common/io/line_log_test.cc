#include "common/io/line_log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace arcshard {
namespace {

class LineLogTest : public ::testing::Test {
 protected:
  LineLogTest() {
    const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = ::testing::TempDir() + "/line_log_" + test->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    path_ = folder_ + "/lines.jsonl";
  }
  ~LineLogTest() override { std::filesystem::remove_all(folder_); }

  std::string Content() const { return *ReadFile(path_); }

  std::string folder_, path_;
};

TEST_F(LineLogTest, WhatWasAppendedIsInTheFileAtOnce) {
  LineLog log(path_, "");
  log.Append("1\n");
  EXPECT_EQ(Content(), "1\n");
  log.Append("2\n3\n");
  EXPECT_EQ(Content(), "1\n2\n3\n");
  EXPECT_TRUE(log.complete());
}

TEST_F(LineLogTest, ALaterLogContinuesAfterAnEarlierOne) {
  LineLog(path_, "").Append("1\n");
  LineLog(path_, "").Append("2\n");
  EXPECT_EQ(Content(), "1\n2\n");
}

TEST_F(LineLogTest, BehindALineThatWasCutOffANewOneBegins) {
  std::ofstream(path_) << "1\n{\"st";
  LineLog log(path_, "");
  log.Append("2\n");
  log.Append("3\n");
  EXPECT_EQ(Content(), "1\n{\"st\n2\n3\n");
}

TEST_F(LineLogTest, WhatCannotBeWrittenIsLostAndLaterLinesAreNot) {
  LineLog log(folder_ + "/later/lines.jsonl", "the run continues");
  log.Append("1\n");
  EXPECT_FALSE(log.complete());
  std::filesystem::create_directory(folder_ + "/later");
  log.Append("2\n");
  EXPECT_EQ(*ReadFile(folder_ + "/later/lines.jsonl"), "2\n");
  EXPECT_FALSE(log.complete());
}

TEST_F(LineLogTest, AfterItsFileWasDeletedANewOneHasWhatFollows) {
  LineLog log(path_, "the run continues");
  log.Append("1\n");
  std::filesystem::remove(path_);
  log.Append("2\n");
  EXPECT_EQ(Content(), "2\n");
  EXPECT_FALSE(log.complete());
}

TEST_F(LineLogTest, AfterItsFolderWasDeletedLinesAreLostUntilThereIsOneAgain) {
  LineLog log(path_, "the run continues");
  log.Append("1\n");
  std::filesystem::remove_all(folder_);
  log.Append("2\n");
  EXPECT_FALSE(log.complete());
  std::filesystem::create_directory(folder_);
  log.Append("3\n");
  EXPECT_EQ(Content(), "3\n");
}

TEST_F(LineLogTest, NothingIsWrittenThroughALinkOrIntoAPipe) {
  std::ofstream(folder_ + "/elsewhere") << "mine";
  std::filesystem::create_symlink(folder_ + "/elsewhere", path_);
  LineLog log(path_, "the run continues");
  log.Append("1\n");
  EXPECT_FALSE(log.complete());
  EXPECT_EQ(*ReadFile(folder_ + "/elsewhere"), "mine");

  ASSERT_EQ(mkfifo((folder_ + "/pipe").c_str(), 0600), 0);
  LineLog pipe(folder_ + "/pipe", "the run continues");
  pipe.Append("1\n");
  EXPECT_FALSE(pipe.complete());
}

}  // namespace
}  // namespace arcshard
