#include "common/io/line_log.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace arcshard
