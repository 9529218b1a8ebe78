#include "common/io/file.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "file_test_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::vector<std::string> NamesInFolder() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      names.push_back(entry.path().filename().string());
    return names;
  }

  std::string folder_;
};

TEST_F(FileTest, WhatWasWrittenIsReadBack) {
  const std::string path = folder_ + "/a";
  const std::string contents("zero \0 inside", 13);
  ASSERT_TRUE(WriteFileAtomically(path, contents).ok());
  EXPECT_EQ(*ReadFile(path), contents);
  ASSERT_TRUE(WriteFileAtomically(path, "").ok());
  EXPECT_EQ(*ReadFile(path), "");
  EXPECT_THAT(NamesInFolder(), ::testing::ElementsAre("a"));
}

TEST_F(FileTest, AMissingFileIsNamedWithTheSystemsReason) {
  const absl::Status status = ReadFile(folder_ + "/missing").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), folder_ + "/missing: cannot open for reading: No such file or directory");
}

TEST_F(FileTest, AFolderOrAPipeIsNotRead) {
  EXPECT_EQ(ReadFile(folder_).status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(ReadFile(pipe).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(FileTest, ReadingPastTheEndIsRefusedEvenWhereOffsetsOverflow) {
  const std::string path = folder_ + "/a";
  ASSERT_TRUE(WriteFileAtomically(path, "12345").ok());
  const ReadableFile file = *ReadableFile::Open(path);
  std::byte buffer[4];
  EXPECT_TRUE(file.ReadAt(1, buffer).ok());
  EXPECT_EQ(static_cast<char>(buffer[0]), '2');
  EXPECT_EQ(file.ReadAt(2, buffer).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(file.ReadAt(~uint64_t{0}, buffer).code(), absl::StatusCode::kDataLoss);
}

TEST_F(FileTest, AFileCutAfterItWasOpenedIsNoticed) {
  const std::string path = folder_ + "/a";
  ASSERT_TRUE(WriteFileAtomically(path, "12345").ok());
  const ReadableFile file = *ReadableFile::Open(path);
  std::filesystem::resize_file(path, 2);
  std::byte buffer[4];
  const absl::Status status = file.ReadAt(0, buffer);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << "what was read is no property of the file's bytes";
  EXPECT_THAT(std::string(status.message()), HasSubstr("was cut to 2 bytes"));
}

TEST_F(FileTest, WithoutCommitTheOldFileStaysAndNothingElseIsLeft) {
  const std::string path = folder_ + "/a";
  ASSERT_TRUE(WriteFileAtomically(path, "old").ok());
  {
    AtomicFile file = *AtomicFile::Create(path);
    ASSERT_TRUE(file.Append("new").ok());
    EXPECT_EQ(NamesInFolder().size(), 2u);
  }
  EXPECT_EQ(*ReadFile(path), "old");
  EXPECT_THAT(NamesInFolder(), ::testing::ElementsAre("a"));
}

TEST_F(FileTest, AFullDiskLeavesNothingBehind) {
  // A test cannot fill a disk, but it can limit the size of files.
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small = {4096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = WriteFileAtomically(folder_ + "/a", std::string(10000, 'x'));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/a: cannot write: File too large"));
  EXPECT_TRUE(NamesInFolder().empty());
}

TEST_F(FileTest, WhenTheRenameFailsNothingIsLeftBehind) {
  const std::string path = folder_ + "/a";
  ASSERT_TRUE(CreateFolders(path + "/inside").ok());
  const absl::Status status = WriteFileAtomically(path, "contents");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(NamesInFolder(), ::testing::ElementsAre("a"));
}

TEST_F(FileTest, WritingIntoAMissingFolderNamesThePath) {
  const absl::Status status = WriteFileAtomically(folder_ + "/no/a", "contents");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(folder_ + "/no/a: cannot create"));
}

TEST_F(FileTest, FoldersAreCreatedOnceAndAFileInTheWayIsNamed) {
  EXPECT_TRUE(CreateFolders(folder_ + "/x/y/z").ok());
  EXPECT_TRUE(CreateFolders(folder_ + "/x/y/z").ok());
  EXPECT_TRUE(CreateFolders(folder_ + "/t/").ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/x/file", "").ok());
  for (const std::string& path : {folder_ + "/x/file", folder_ + "/x/file/below"}) {
    const absl::Status status = CreateFolders(path);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  }
}

}  // namespace
}  // namespace arcshard
