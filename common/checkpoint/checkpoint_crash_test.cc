#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/testing/checkpoint_test_kit.h"
#include "common/io/file.h"
#include "common/io/testing/faulty_file_system.h"
#include "common/io/testing/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// Takes a checkpoint in a run that has an older one, while each call of the file system fails in turn. After each
// failure the power is cut, in each of the ways in which a disk may lose unsynced data.
namespace arcshard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Survival = MemoryFileSystem::Survival;

constexpr char kRun[] = "/runs/faces";
constexpr CheckpointId kOld{10, 1};
constexpr CheckpointId kNew{11, 2, 4};
constexpr CheckpointId kNext{12, 3};

// Does what participants and coordinator do: writes the parts and the manifest, then deletes superseded checkpoints.
absl::Status TakeAndRetain(FileSystem* files, const CheckpointId& id) {
  if (const absl::Status status = TakeTestCheckpoint(files, kRun, id); !status.ok()) return status;
  const auto complete = ListCheckpoints(files, kRun);
  if (!complete.ok()) return absl::OkStatus();  // the checkpoint is complete; the next one will delete the others
  for (const CheckpointId& superseded : Superseded(*complete, {.keep_last = 1})) {
    (void)RemoveCheckpoint(files, CheckpointFolder(kRun, superseded));
  }
  return absl::OkStatus();
}

std::vector<std::string> Temporaries(FileSystem* files, const std::string& folder) {
  std::vector<std::string> found;
  const auto entries = files->List(folder);
  EXPECT_TRUE(entries.ok()) << entries.status();
  for (const FileSystem::Entry& entry : *entries) {
    const std::string path = absl::StrCat(folder, "/", entry.name);
    if (!entry.is_folder && absl::StrContains(entry.name, ".tmp")) found.push_back(path);
    if (!entry.is_folder) continue;
    for (std::string& inside : Temporaries(files, path)) found.push_back(std::move(inside));
  }
  return found;
}

// Checks what must hold for a disk after a crash, and after a coordinator has started on it.
void ExpectACheckpoint(MemoryFileSystem* disk, bool new_one_promised) {
  const auto complete = ListCheckpoints(disk, kRun);
  ASSERT_TRUE(complete.ok()) << complete.status();
  ASSERT_FALSE(complete->empty()) << "neither the old nor the new one";
  EXPECT_TRUE(complete->front() == kNew || (complete->front() == kOld && !new_one_promised));
  for (const CheckpointId& id : *complete) {
    EXPECT_EQ(CheckTestCheckpoint(disk, CheckpointFolder(kRun, id), id), absl::OkStatus());
  }
  const auto removed = CleanUp(disk, kRun);
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_THAT(Temporaries(disk, kRun), IsEmpty());
  EXPECT_EQ(*ListCheckpoints(disk, kRun), *complete);
  const auto folders = disk->List(CheckpointsOf(kRun));
  ASSERT_TRUE(folders.ok());
  EXPECT_EQ(folders->size(), complete->size()) << "a folder that is no checkpoint is left";
  EXPECT_EQ(CleanUp(disk, kRun)->size(), 0u);
  EXPECT_EQ(TakeAndRetain(disk, kNext), absl::OkStatus());
  EXPECT_THAT(*ListCheckpoints(disk, kRun), ElementsAre(kNext));
}

void ExpectACheckpointAfterPowerCuts(const MemoryFileSystem& disk, bool new_one_promised) {
  std::vector<Survival> survivals = {{0, 0}, {1, 0}, {0, 1}, {1, 1}};
  for (uint32_t seed = 0; seed < 8; ++seed) survivals.push_back({.names = 0.5, .bytes = 0.5, .seed = seed});
  for (const Survival& survival : survivals) {
    SCOPED_TRACE(absl::StrCat("survives: names ", survival.names, ", bytes ", survival.bytes, "; ", survival.seed));
    MemoryFileSystem left(disk);
    left.CutPower(survival);
    ExpectACheckpoint(&left, new_one_promised);
  }
}

class CheckpointCrashTest : public ::testing::TestWithParam<std::pair<FaultKind, const char*>> {
 protected:
  void SetUp() override { ASSERT_EQ(TakeAndRetain(&disk_, kOld), absl::OkStatus()); }

  MemoryFileSystem disk_;
};
INSTANTIATE_TEST_SUITE_P(
    All, CheckpointCrashTest,
    ::testing::Values(std::pair(FaultKind::kShortWrite, "ShortWrite"), std::pair(FaultKind::kNoSpace, "NoSpace"),
                      std::pair(FaultKind::kIoError, "IoError"), std::pair(FaultKind::kSyncFails, "SyncFails"),
                      std::pair(FaultKind::kRenameFails, "RenameFails"), std::pair(FaultKind::kCrash, "Crash")),
    [](const auto& fault) { return fault.param.second; });

// The coordinator may crash again while it starts after a crash.
TEST(CheckpointCleanUpTest, WhereverItCrashesTheOldOneIsWhole) {
  MemoryFileSystem disk;
  ASSERT_EQ(TakeAndRetain(&disk, kOld), absl::OkStatus());
  FaultyFileSystem dying(&disk, FaultKind::kCrash, 32);  // two parts are written, a third is not yet renamed
  ASSERT_NE(TakeAndRetain(&dying, kNew), absl::OkStatus());
  const std::string old_folder = CheckpointFolder(kRun, kOld);
  ASSERT_TRUE(disk.Create(old_folder + "/backbone.safetensors.tmp-1-1").ok());
  ASSERT_THAT(Temporaries(&disk, kRun), ::testing::SizeIs(2));
  int64_t at = 0;
  for (bool crashed = true; crashed; ++at) {
    SCOPED_TRACE(at);
    MemoryFileSystem after(disk);
    FaultyFileSystem faulty(&after, FaultKind::kCrash, at);
    const auto removed = CleanUp(&faulty, kRun);
    crashed = faulty.injected();
    ASSERT_EQ(removed.ok(), !crashed);
    if (!crashed) {
      EXPECT_THAT(*removed, ElementsAre(old_folder + "/backbone.safetensors.tmp-1-1", CheckpointFolder(kRun, kNew)));
    }
    ExpectACheckpointAfterPowerCuts(after, false);
  }
  EXPECT_GT(at, 6);
}

TEST_P(CheckpointCrashTest, AtEveryCallTheOldOrTheNewOneIsWhole) {
  const FaultKind kind = GetParam().first;
  int64_t tested = 0;
  int64_t calls = 1;  // in the whole procedure; known after its first run
  for (int64_t at = 0; at < calls; ++at) {
    MemoryFileSystem after(disk_);
    FaultyFileSystem faulty(&after, kind, at);
    const absl::Status status = TakeAndRetain(&faulty, kNew);
    if (at == 0) {
      MemoryFileSystem copy(disk_);
      FaultyFileSystem counting(&copy, FaultKind::kNone, 0);
      ASSERT_EQ(TakeAndRetain(&counting, kNew), absl::OkStatus());
      calls = counting.calls();
    }
    if (!faulty.injected()) {
      EXPECT_EQ(status, absl::OkStatus());
      continue;
    }
    ++tested;
    SCOPED_TRACE(absl::StrCat(GetParam().second, " at call ", at, " of ", calls));
    // A process that survives the fault cleans up at once.
    if (kind != FaultKind::kCrash) {
      EXPECT_THAT(Temporaries(&after, kRun), IsEmpty());
    }
    ExpectACheckpointAfterPowerCuts(after, status.ok());
    if (HasFailure()) return;  // one failing call is enough
  }
  RecordProperty("calls", static_cast<int>(calls));
  RecordProperty("tested", static_cast<int>(tested));
  printf("%s: %d of %d calls\n", GetParam().second, static_cast<int>(tested), static_cast<int>(calls));
  EXPECT_GT(calls, 60);
  EXPECT_GE(tested, kind == FaultKind::kRenameFails ? 5 : 12);  // a rename and two syncs for each file
}

}  // namespace
}  // namespace arcshard
