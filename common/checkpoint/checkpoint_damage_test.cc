#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/class_rows.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/checkpoint/testing/checkpoint_test_kit.h"
#include "common/io/testing/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// Every damage to a checkpoint's files is noticed before a value of it is used.
namespace arcshard {
namespace {

using ::testing::HasSubstr;

constexpr char kRun[] = "/run";
constexpr CheckpointId kId{17, 2, 3};

class CheckpointDamageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(TakeTestCheckpoint(&disk_, kRun, kId), absl::OkStatus());
    ASSERT_EQ(CheckTestCheckpoint(&disk_, folder_, kId), absl::OkStatus());
    const auto entries = disk_.List(folder_);
    ASSERT_TRUE(entries.ok());
    for (const FileSystem::Entry& entry : *entries) paths_.push_back(absl::StrCat(folder_, "/", entry.name));
    ASSERT_EQ(paths_.size(), 5u);
  }

  // Opening the checkpoint, or reading the file `path` without Verify, must fail with an error that names the file.
  void ExpectRefused(const std::string& path) {
    const absl::StatusOr<OpenCheckpoint> checkpoint = OpenCheckpoint::Open(&disk_, folder_);
    if (!checkpoint.ok()) return ExpectDataLoss(checkpoint.status(), path);
    ExpectDataLoss(checkpoint->Verify(), path);
    const std::string name = path.substr(folder_.size() + 1);
    ASSERT_NE(name, kManifestName) << "a damaged manifest was taken";
    ExpectDataLoss(checkpoint->File(name).status(), path);
    ExpectDataLoss(ClassRows::Of(*checkpoint).status(), path);  // it looks for rows in all files
  }

  static void ExpectDataLoss(const absl::Status& status, const std::string& path) {
    ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    ASSERT_THAT(std::string(status.message()), HasSubstr(path));
  }

  MemoryFileSystem disk_;
  const std::string folder_ = CheckpointFolder(kRun, kId);
  std::vector<std::string> paths_;
};

TEST_F(CheckpointDamageTest, EveryFlippedBitOfEveryFileIsNoticed) {
  int tested = 0;
  for (const std::string& path : paths_) {
    const std::string whole = disk_.Contents(path);
    std::string damaged = whole;
    for (size_t position = 0; position < whole.size(); ++position) {
      for (int bit = 0; bit < 8; ++bit, ++tested) {
        damaged[position] = static_cast<char>(whole[position] ^ (1 << bit));
        disk_.SetContents(path, damaged);
        SCOPED_TRACE(absl::StrCat(path, ": bit ", bit, " of byte ", position));
        ASSERT_NO_FATAL_FAILURE(ExpectRefused(path));
      }
      damaged[position] = whole[position];
    }
    disk_.SetContents(path, whole);
  }
  EXPECT_GT(tested, 15000);
  EXPECT_EQ(CheckTestCheckpoint(&disk_, folder_, kId), absl::OkStatus());
}

TEST_F(CheckpointDamageTest, EveryByteOfAnotherValueIsNoticed) {
  for (const std::string& path : paths_) {
    const std::string whole = disk_.Contents(path);
    std::string damaged = whole;
    for (size_t position = 0; position < whole.size(); ++position) {
      for (const char value : {'\0', '\xff', ' ', '0', static_cast<char>(whole[position] + 1)}) {
        if (value == whole[position]) continue;
        damaged[position] = value;
        disk_.SetContents(path, damaged);
        SCOPED_TRACE(absl::StrCat(path, ": byte ", position));
        ASSERT_NO_FATAL_FAILURE(ExpectRefused(path));
      }
      damaged[position] = whole[position];
    }
    disk_.SetContents(path, whole);
  }
}

TEST_F(CheckpointDamageTest, AFileCutAnywhereOrWithMoreBehindItIsNoticed) {
  for (const std::string& path : paths_) {
    const std::string whole = disk_.Contents(path);
    for (size_t length = 0; length < whole.size(); ++length) {
      disk_.SetContents(path, whole.substr(0, length));
      SCOPED_TRACE(absl::StrCat(path, ": cut to ", length));
      ASSERT_NO_FATAL_FAILURE(ExpectRefused(path));
    }
    for (const std::string& more : {std::string("\n"), std::string(" "), std::string("x"), std::string(1, '\0'),
                                    std::string(4096, '\0'), whole}) {
      disk_.SetContents(path, whole + more);
      ASSERT_NO_FATAL_FAILURE(ExpectRefused(path));
      disk_.SetContents(path, more + whole);
      ASSERT_NO_FATAL_FAILURE(ExpectRefused(path));
    }
    disk_.SetContents(path, whole);
  }
}

TEST_F(CheckpointDamageTest, AFileThatIsMissingOrAnothersIsNoticed) {
  for (const std::string& path : paths_) {
    SCOPED_TRACE(path);
    ASSERT_TRUE(disk_.Rename(path, "/elsewhere").ok());
    const absl::Status missing = OpenCheckpoint::Open(&disk_, folder_).status();
    const bool is_manifest = path.ends_with(std::string(kManifestName));
    EXPECT_EQ(missing.code(), is_manifest ? absl::StatusCode::kNotFound : absl::StatusCode::kDataLoss) << missing;
    EXPECT_THAT(std::string(missing.message()), HasSubstr(is_manifest ? folder_ : path));
    if (!is_manifest) {
      ASSERT_TRUE(disk_.CreateFolders(path).ok());
      EXPECT_EQ(OpenCheckpoint::Open(&disk_, folder_).status().code(), absl::StatusCode::kDataLoss);
      ASSERT_TRUE(disk_.RemoveFolder(path).ok());
    }
    ASSERT_TRUE(disk_.Rename("/elsewhere", path).ok());
  }
  // The parts of another step, which have the same sizes.
  ASSERT_EQ(TakeTestCheckpoint(&disk_, kRun, {18, 2}), absl::OkStatus());
  for (const std::string& path : paths_) {
    const std::string whole = disk_.Contents(path);
    const std::string other = CheckpointFolder(kRun, {18, 2}) + path.substr(folder_.size());
    if (path.ends_with(std::string(kManifestName))) continue;
    ASSERT_EQ(disk_.Contents(other).size(), whole.size());
    disk_.SetContents(path, disk_.Contents(other));
    ASSERT_NO_FATAL_FAILURE(ExpectRefused(path));
    disk_.SetContents(path, whole);
  }
}

}  // namespace
}  // namespace arcshard
