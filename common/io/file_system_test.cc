#include "common/io/file_system.h"

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/io/file.h"
#include "common/io/testing/faulty_file_system.h"
#include "common/io/testing/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Entry = FileSystem::Entry;

absl::Span<const std::byte> BytesOf(absl::string_view text) {
  return absl::MakeConstSpan(reinterpret_cast<const std::byte*>(text.data()), text.size());
}

absl::StatusOr<std::string> ReadAll(FileSystem* files, const std::string& path) {
  const absl::StatusOr<std::unique_ptr<ByteSource>> source = files->Open(path);
  if (!source.ok()) return source.status();
  std::string text((*source)->size(), '\0');
  const absl::Status status =
      (*source)->ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size()));
  if (!status.ok()) return status;
  return text;
}

absl::Status Write(FileSystem* files, const std::string& path, absl::string_view text) {
  absl::StatusOr<AtomicFile> file = AtomicFile::Create(path, files);
  if (!file.ok()) return file.status();
  const absl::Status status = file->Append(text);
  return status.ok() ? file->Commit() : status;
}

// The beginnings of the names in a folder.
std::string NamesIn(FileSystem* files, const std::string& folder, size_t length = std::string::npos) {
  const absl::StatusOr<std::vector<Entry>> entries = files->List(folder);
  std::string names;
  for (const Entry& entry : *entries) names += entry.name.substr(0, length) + " ";
  return names;
}

// The in-memory file system must behave as the real one does.
class FileSystemTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!GetParam()) {
      folder_ = "/folder";
      ASSERT_TRUE(memory_.CreateFolders(folder_).ok());
      return;
    }
    std::string pattern = ::testing::TempDir() + "file_system_test_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    files_ = RealFileSystem();
  }
  void TearDown() override {
    if (GetParam()) std::filesystem::remove_all(folder_);
  }

  MemoryFileSystem memory_;
  FileSystem* files_ = &memory_;
  std::string folder_;
};
INSTANTIATE_TEST_SUITE_P(All, FileSystemTest, ::testing::Values(false, true),
                         [](const auto& is_real) { return is_real.param ? "Real" : "Memory"; });

TEST_P(FileSystemTest, WhatIsAppendedIsReadAtAnyOffset) {
  const std::string path = folder_ + "/a";
  auto file = files_->Create(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->Append(BytesOf("one")).ok());
  EXPECT_TRUE((*file)->Append(BytesOf("")).ok());
  EXPECT_TRUE((*file)->Append(BytesOf("two")).ok());
  EXPECT_TRUE((*file)->Sync().ok());
  EXPECT_TRUE((*file)->Close().ok());
  EXPECT_EQ(*ReadAll(files_, path), "onetwo");
  const auto source = files_->Open(path);
  ASSERT_TRUE(source.ok());
  EXPECT_EQ((*source)->path(), path);
  EXPECT_EQ((*source)->size(), 6u);
  std::byte two[2];
  EXPECT_TRUE((*source)->ReadAt(2, two).ok());
  EXPECT_EQ(static_cast<char>(two[0]), 'e');
  EXPECT_EQ((*source)->ReadAt(5, two).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ((*source)->ReadAt(~uint64_t{0}, two).code(), absl::StatusCode::kDataLoss);
}

TEST_P(FileSystemTest, AFileIsCreatedOnceAndOnlyWhereItsFolderIs) {
  EXPECT_TRUE(files_->Create(folder_ + "/a").ok());
  EXPECT_EQ(files_->Create(folder_ + "/a").status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(files_->Create(folder_ + "/no/a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_->Create(folder_ + "/a/b").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(files_->Open(folder_ + "/b").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_->Open(folder_).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(FileSystemTest, NamesAreListedInOrderAndFoldersAreToldFromFiles) {
  ASSERT_TRUE(files_->CreateFolders(folder_ + "/b/c").ok());
  ASSERT_TRUE(Write(files_, folder_ + "/z", "").ok());
  ASSERT_TRUE(Write(files_, folder_ + "/a", "").ok());
  EXPECT_THAT(*files_->List(folder_), ElementsAre(Entry{"a", false}, Entry{"b", true}, Entry{"z", false}));
  EXPECT_THAT(*files_->List(folder_ + "/b"), ElementsAre(Entry{"c", true}));
  EXPECT_EQ(files_->List(folder_ + "/no").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_->List(folder_ + "/a").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(files_->SyncFolder(folder_ + "/no").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(files_->SyncFolder(folder_).ok());
}

TEST_P(FileSystemTest, FilesAndEmptyFoldersAreRemovedEachByItsOwnCall) {
  ASSERT_TRUE(files_->CreateFolders(folder_ + "/b").ok());
  ASSERT_TRUE(Write(files_, folder_ + "/b/a", "").ok());
  EXPECT_EQ(files_->Remove(folder_ + "/b").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(files_->RemoveFolder(folder_ + "/b").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(files_->RemoveFolder(folder_ + "/b/a").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(files_->Remove(folder_ + "/b/a").ok());
  EXPECT_EQ(files_->Remove(folder_ + "/b/a").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(files_->RemoveFolder(folder_ + "/b").ok());
  EXPECT_EQ(files_->RemoveFolder(folder_ + "/b").code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(*files_->List(folder_), IsEmpty());
}

TEST_P(FileSystemTest, ARenameReplacesAFileButNoFolderThatHoldsSomething) {
  ASSERT_TRUE(Write(files_, folder_ + "/a", "a").ok());
  ASSERT_TRUE(Write(files_, folder_ + "/b", "b").ok());
  EXPECT_TRUE(files_->Rename(folder_ + "/a", folder_ + "/b").ok());
  EXPECT_EQ(*ReadAll(files_, folder_ + "/b"), "a");
  EXPECT_EQ(files_->Rename(folder_ + "/a", folder_ + "/b").code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(files_->CreateFolders(folder_ + "/x/y").ok());
  ASSERT_TRUE(files_->CreateFolders(folder_ + "/z").ok());
  EXPECT_EQ(files_->Rename(folder_ + "/b", folder_ + "/x").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(files_->Rename(folder_ + "/z", folder_ + "/x").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(files_->Rename(folder_ + "/x", folder_ + "/z").ok());
  EXPECT_THAT(*files_->List(folder_ + "/z"), ElementsAre(Entry{"y", true}));
}

TEST_P(FileSystemTest, AFileInTheWayOfAFolderIsNamed) {
  ASSERT_TRUE(Write(files_, folder_ + "/a", "").ok());
  for (const std::string& path : {folder_ + "/a", folder_ + "/a/b"}) {
    const absl::Status status = files_->CreateFolders(path);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  }
}

TEST(RealFileSystemTest, ALinkIsNoFolderSoThatNothingBehindItIsCleanedUp) {
  std::string folder = ::testing::TempDir() + "file_system_link_test_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  ASSERT_TRUE(RealFileSystem()->CreateFolders(folder + "/there").ok());
  std::filesystem::create_directory_symlink(folder + "/there", folder + "/link");
  EXPECT_THAT(*RealFileSystem()->List(folder), ElementsAre(Entry{"link", false}, Entry{"there", true}));
  std::filesystem::remove_all(folder);
}

TEST(MemoryFileSystemTest, APowerCutLeavesWhatWasSyncedAndOfTheRestWhatItIsTold) {
  const auto after = [](const MemoryFileSystem::Survival& survival) {
    MemoryFileSystem files;
    EXPECT_TRUE(files.CreateFolders("/run").ok());
    EXPECT_TRUE(Write(&files, "/run/kept", "kept").ok());
    auto file = files.Create("/run/half");
    EXPECT_TRUE((*file)->Append(BytesOf("syn")).ok());
    EXPECT_TRUE((*file)->Sync().ok());
    EXPECT_TRUE((*file)->Append(BytesOf("ced")).ok());
    EXPECT_TRUE(files.SyncFolder("/run").ok());
    EXPECT_TRUE(files.Rename("/run/kept", "/run/renamed").ok());
    MemoryFileSystem copy(files);
    copy.CutPower(survival);
    EXPECT_EQ(files.Contents("/run/half"), "synced") << "the copy shares nothing";
    return NamesIn(&copy, "/run") + copy.Contents("/run/half");
  };
  EXPECT_EQ(after({.names = 0, .bytes = 0}), "half kept syn");
  EXPECT_EQ(after({.names = 1, .bytes = 0}), "half renamed syn");
  EXPECT_EQ(after({.names = 0, .bytes = 1}), "half kept synced");
  EXPECT_EQ(after({.names = 1, .bytes = 1}), "half renamed synced");
  std::set<std::string> outcomes;
  for (uint32_t seed = 0; seed < 100; ++seed) outcomes.insert(after({.names = 0.5, .bytes = 0.5, .seed = seed}));
  EXPECT_EQ(outcomes.size(), 8u) << "each of two names and the bytes, with and without";
}

TEST(FaultyFileSystemTest, TheCallThatIsTheFaultsFailsAndTheOthersDoNot) {
  MemoryFileSystem disk;
  ASSERT_TRUE(disk.CreateFolders("/run").ok());
  // Create, Append, Sync, Close, Rename, SyncFolder; with a Remove after a failure.
  const auto outcome = [&](FaultKind kind, int64_t at) {
    MemoryFileSystem copy(disk);
    FaultyFileSystem files(&copy, kind, at);
    const absl::Status status = Write(&files, "/run/a", "text");
    EXPECT_EQ(status.ok(), !files.injected());
    return absl::StatusCodeToString(status.code()) + " " + NamesIn(&copy, "/run", 5);
  };
  EXPECT_EQ(outcome(FaultKind::kNone, 0), "OK a ");
  EXPECT_EQ(outcome(FaultKind::kShortWrite, 0), "OK a ") << "no Append";
  EXPECT_EQ(outcome(FaultKind::kShortWrite, 1), "RESOURCE_EXHAUSTED ");
  EXPECT_EQ(outcome(FaultKind::kNoSpace, 0), "RESOURCE_EXHAUSTED ");
  EXPECT_EQ(outcome(FaultKind::kSyncFails, 2), "UNAVAILABLE ");
  EXPECT_EQ(outcome(FaultKind::kIoError, 3), "UNAVAILABLE ");
  EXPECT_EQ(outcome(FaultKind::kRenameFails, 4), "UNAVAILABLE ");
  EXPECT_EQ(outcome(FaultKind::kSyncFails, 5), "UNAVAILABLE a ") << "after the rename";
  EXPECT_EQ(outcome(FaultKind::kCrash, 0), "UNAVAILABLE ");
  EXPECT_EQ(outcome(FaultKind::kCrash, 4), "UNAVAILABLE a.tmp ") << "the dead remove nothing";
  EXPECT_EQ(outcome(FaultKind::kIoError, 6), "OK a ") << "there is no such call";
}

TEST(AtomicFileTest, ErrorsNameTheFileAndNotItsTemporaryName) {
  MemoryFileSystem disk;
  ASSERT_TRUE(disk.CreateFolders("/run").ok());
  for (int64_t at = 0; at < 5; ++at) {
    FaultyFileSystem files(&disk, FaultKind::kIoError, at);
    EXPECT_THAT(std::string(Write(&files, "/run/a", "text").message()), ::testing::StartsWith("/run/a: ")) << at;
  }
}

TEST(AtomicFileTest, TemporaryNamesAreKnown) {
  EXPECT_TRUE(AtomicFile::IsTemporaryName("a.safetensors.tmp-17-0"));
  EXPECT_TRUE(AtomicFile::IsTemporaryName("a.tmp-1-2.tmp-3-4"));
  for (const char* name : {"a", "a.tmp", "a.tmp-", "a.tmp-1", "a.tmp-1-", "a.tmp--1", "a.tmp-1-2-3", "a.tmp-1-x"}) {
    EXPECT_FALSE(AtomicFile::IsTemporaryName(name)) << name;
  }
}

}  // namespace
}  // namespace arcshard
