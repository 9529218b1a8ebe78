#include "common/io/log_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "common/io/file.h"

namespace arcshard {
namespace {

class LogFileTest : public ::testing::Test {
 protected:
  LogFileTest() {
    const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = ::testing::TempDir() + "/log_file_" + test->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ + "/logs");
    path_ = folder_ + "/logs/shard-0.log";
    output_ = *OpenToAppend(path_);
  }
  ~LogFileTest() override { std::filesystem::remove_all(folder_); }

  void Write(LogFile* log, const std::string& line) {
    log->MakeRoom();
    ASSERT_EQ(write(output_.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }

  std::string folder_, path_;
  FileDescriptor output_;
};

TEST_F(LogFileTest, AFullFileIsPutAsideAndANewOneBegun) {
  LogFile log(path_, {output_.get()}, 6);
  for (const char* line : {"one\n", "two\n", "three\n"}) Write(&log, line);
  EXPECT_EQ(*ReadFile(path_), "three\n");
  EXPECT_EQ(*ReadFile(path_ + ".1"), "one\ntwo\n");
  for (const char* line : {"four\n", "five\n"}) Write(&log, line);
  EXPECT_EQ(*ReadFile(path_), "four\nfive\n");
  EXPECT_EQ(*ReadFile(path_ + ".1"), "three\n");
}

TEST_F(LogFileTest, ADeletedFileIsBegunAgainAlsoWithItsFolder) {
  LogFile log(path_, {output_.get()});
  Write(&log, "one\n");
  std::filesystem::remove(path_);
  Write(&log, "two\n");
  EXPECT_EQ(*ReadFile(path_), "two\n");
  std::filesystem::remove_all(folder_ + "/logs");
  Write(&log, "three\n");
  EXPECT_EQ(*ReadFile(path_), "three\n");
}

TEST_F(LogFileTest, TheRunsFolderIsNotMadeAgain) {
  LogFile log(path_, {output_.get()});
  std::filesystem::remove_all(folder_);
  Write(&log, "lost\n");
  EXPECT_FALSE(std::filesystem::exists(folder_));
}

TEST_F(LogFileTest, ALinkInItsPlaceIsNotFollowed) {
  std::ofstream(folder_ + "/elsewhere") << "mine";
  std::filesystem::remove(path_);
  std::filesystem::create_symlink(folder_ + "/elsewhere", path_);
  LogFile log(path_, {output_.get()});
  Write(&log, "one\n");
  EXPECT_EQ(*ReadFile(folder_ + "/elsewhere"), "mine");
}

TEST_F(LogFileTest, OutputThatIsNoFileIsLeftAlone) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const FileDescriptor from(ends[0]), to(ends[1]);
  std::filesystem::remove(path_);
  LogFile(path_, {to.get()}).MakeRoom();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace arcshard
