#include "coordinator/run_folder/keeper_thread.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/testing/checkpoint_test_kit.h"
#include "common/io/testing/faulty_file_system.h"
#include "common/io/testing/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kRun[] = "/run";

class KeeperThreadTest : public ::testing::Test {
 protected:
  // Writes the parts of a checkpoint and returns its manifest, which is not written.
  Manifest WriteParts(const CheckpointId& id) {
    EXPECT_TRUE(TakeTestCheckpoint(&disk_, kRun, id).ok());
    const std::string folder = CheckpointFolder(kRun, id);
    const std::string path = absl::StrCat(folder, "/", kManifestName);
    auto manifest = ParseManifest(disk_.Contents(path), path);
    EXPECT_TRUE(manifest.ok()) << manifest.status();
    EXPECT_TRUE(disk_.Remove(path).ok());
    return *std::move(manifest);
  }
  KeeperThread::Fence Fence() {
    return [this] { return fence_; };
  }
  KeeperThread::Kept Note() {
    return [this](uint64_t step, const absl::Status& status) { kept_.emplace_back(step, status.code()); };
  }
  std::vector<uint64_t> CompleteSteps() {
    std::vector<uint64_t> steps;
    const auto complete = ListCheckpoints(&disk_, kRun);
    EXPECT_TRUE(complete.ok()) << complete.status();
    for (const CheckpointId& id : *complete) steps.push_back(id.step);
    return steps;
  }
  std::vector<std::string> Folders() {
    std::vector<std::string> names;
    const auto entries = disk_.List(CheckpointsOf(kRun));
    EXPECT_TRUE(entries.ok()) << entries.status();
    if (!entries.ok()) return names;
    for (const auto& entry : *entries) names.push_back(entry.name);
    return names;
  }

  MemoryFileSystem disk_;
  absl::Status fence_;  // the keeper's thread reads it: change it only before Start
  std::vector<std::pair<uint64_t, absl::StatusCode>> kept_;  // written by the keeper's thread; read it after Finish
};

TEST_F(KeeperThreadTest, WhatIsHandedOverIsDurableWhenItHasFinished) {
  KeeperThread keeper(&disk_, kRun, {.keep_last = 2}, Fence());
  for (const uint64_t step : {1, 2, 3}) {
    Manifest manifest = WriteParts({step, 1});
    keeper.Complete(CheckpointFolder(kRun, {step, 1}), std::move(manifest));  // may be called before Start
    keeper.DeleteSuperseded();
  }
  keeper.Start(Note());
  keeper.Finish();
  disk_.CutPower({});
  EXPECT_THAT(CompleteSteps(), ElementsAre(3, 2));
  EXPECT_TRUE(CheckTestCheckpoint(&disk_, CheckpointFolder(kRun, {3, 1}), {3, 1}).ok());
  EXPECT_THAT(kept_, ElementsAre(std::pair(1u, absl::StatusCode::kOk), std::pair(2u, absl::StatusCode::kOk),
                                 std::pair(3u, absl::StatusCode::kOk)));
}

TEST_F(KeeperThreadTest, NothingIsDeletedBeforeItIsAskedFor) {
  KeeperThread keeper(&disk_, kRun, {.keep_last = 1}, Fence());
  keeper.Start(Note());
  for (const uint64_t step : {1, 2}) keeper.Complete(CheckpointFolder(kRun, {step, 1}), WriteParts({step, 1}));
  keeper.Finish();
  EXPECT_THAT(CompleteSteps(), ElementsAre(2, 1)) << "a member may be restoring the first";
}

TEST_F(KeeperThreadTest, WhereAnotherCoordinatorHasTheFolderItWritesAndDeletesNothing) {
  ASSERT_TRUE(TakeTestCheckpoint(&disk_, kRun, {1, 1}).ok());
  ASSERT_TRUE(TakeTestCheckpoint(&disk_, kRun, {2, 1}).ok());
  Manifest manifest = WriteParts({3, 1});
  fence_ = absl::FailedPreconditionError("another coordinator, incarnation 2");
  KeeperThread keeper(&disk_, kRun, {.keep_last = 1}, Fence());
  EXPECT_TRUE(keeper.fenced_off().ok());
  keeper.Complete(CheckpointFolder(kRun, {3, 1}), std::move(manifest));
  keeper.DeleteSuperseded();
  keeper.Abandon(CheckpointFolder(kRun, {2, 1}));
  keeper.Start(Note());
  keeper.Finish();
  EXPECT_THAT(CompleteSteps(), ElementsAre(2, 1));
  EXPECT_THAT(kept_, ElementsAre(std::pair(3u, absl::StatusCode::kFailedPrecondition)));
  EXPECT_EQ(keeper.fenced_off(), fence_);
}

TEST_F(KeeperThreadTest, AFenceThatCannotBeReadMakesACheckpointFailAndNothingMore) {
  Manifest manifest = WriteParts({1, 1});
  fence_ = absl::UnavailableError("the disk does not answer");
  KeeperThread keeper(&disk_, kRun, {.keep_last = 1}, Fence());
  keeper.Complete(CheckpointFolder(kRun, {1, 1}), std::move(manifest));
  keeper.Start(Note());
  keeper.Finish();
  EXPECT_THAT(kept_, ElementsAre(std::pair(1u, absl::StatusCode::kUnavailable)));
  EXPECT_TRUE(keeper.fenced_off().ok());
}

TEST_F(KeeperThreadTest, WhatIsDroppedIsNotWritten) {
  KeeperThread keeper(&disk_, kRun, {.keep_last = 2}, Fence());
  Manifest manifest = WriteParts({1, 1});
  keeper.Complete(CheckpointFolder(kRun, {1, 1}), std::move(manifest));
  keeper.Drop();
  keeper.Start(Note());
  keeper.Finish();
  EXPECT_THAT(CompleteSteps(), IsEmpty());
  EXPECT_THAT(kept_, IsEmpty());
}

TEST_F(KeeperThreadTest, ThoseOfStepsThatKeepEveryDividesStay) {
  KeeperThread keeper(&disk_, kRun, {.keep_last = 1, .keep_every = 2}, Fence());
  for (const uint64_t step : {2, 3, 4, 5, 6, 7}) {
    keeper.Complete(CheckpointFolder(kRun, {step, 1}), WriteParts({step, 1}));
    keeper.DeleteSuperseded();
  }
  // Only now: WriteParts writes a manifest and takes it away again, which the thread must not see.
  keeper.Start(Note());
  keeper.Finish();
  EXPECT_THAT(CompleteSteps(), ElementsAre(7, 6, 4, 2));
}

TEST_F(KeeperThreadTest, OfOneThatFailedNothingIsLeftAndTheOneBeforeStays) {
  const Manifest first = WriteParts({1, 1});
  WriteParts({2, 1});  // not while the keeper looks for what it may delete
  KeeperThread keeper(&disk_, kRun, {.keep_last = 1}, Fence());
  keeper.Start(Note());
  keeper.Complete(CheckpointFolder(kRun, {1, 1}), first);
  keeper.Abandon(CheckpointFolder(kRun, {2, 1}));
  keeper.Abandon(CheckpointFolder(kRun, {3, 1}));  // no member had created the folder
  keeper.DeleteSuperseded();
  keeper.Finish();
  EXPECT_THAT(Folders(), ElementsAre("step-00000001.1"));
}

TEST_F(KeeperThreadTest, WhatWasWrittenForACoordinatorThatHadDiedIsDeletedOnceALaterCheckpointIsComplete) {
  WriteParts({4, 1});     // of the coordinator before
  WriteParts({6, 1});     // likewise; this one has not come so far, and the step may be another one
  WriteParts({4, 2, 2});  // of a later view
  const Manifest complete = WriteParts({4, 2});
  KeeperThread keeper(&disk_, kRun, {}, Fence());
  keeper.Start(Note());
  keeper.Complete(CheckpointFolder(kRun, {4, 2}), complete);
  keeper.DeleteSuperseded();
  keeper.Finish();
  EXPECT_THAT(Folders(), UnorderedElementsAre("step-00000004.2", "step-00000004.2.2", "step-00000006.1"));
}

TEST_F(KeeperThreadTest, TheConfigurationIsThatOfTheNewestCompleteOne) {
  const std::string config = absl::StrCat(kRun, "/config.yaml");
  Manifest first = WriteParts({1, 1}), second = WriteParts({2, 1});
  first.config_yaml = "of the first";
  second.config_yaml = "of the second, which fails";
  KeeperThread keeper(&disk_, kRun, {}, Fence());
  keeper.Start(Note());
  keeper.Complete(CheckpointFolder(kRun, {1, 1}), first);
  ASSERT_TRUE(disk_.Remove(CheckpointFolder(kRun, {2, 1}) + "/optimizer.safetensors").ok());
  keeper.Complete(CheckpointFolder(kRun, {2, 1}), second);
  keeper.Finish();
  disk_.CutPower({});
  EXPECT_EQ(disk_.Contents(config), "of the first");
}

TEST_F(KeeperThreadTest, APartThatIsNotThereMakesItFail) {
  Manifest manifest = WriteParts({1, 1});
  ASSERT_TRUE(disk_.Remove(CheckpointFolder(kRun, {1, 1}) + "/optimizer.safetensors").ok());
  KeeperThread keeper(&disk_, kRun, {}, Fence());
  keeper.Start(Note());
  keeper.Complete(CheckpointFolder(kRun, {1, 1}), std::move(manifest));
  keeper.Finish();
  EXPECT_THAT(kept_, ElementsAre(std::pair(1u, absl::StatusCode::kNotFound)));
  EXPECT_THAT(Folders(), IsEmpty());
}

TEST_F(KeeperThreadTest, OneThatIsCompleteAlreadyStays) {
  const Manifest manifest = WriteParts({1, 1});
  ASSERT_TRUE(TakeTestCheckpoint(&disk_, kRun, {1, 1}).ok());
  KeeperThread keeper(&disk_, kRun, {}, Fence());
  keeper.Start(Note());
  keeper.Complete(CheckpointFolder(kRun, {1, 1}), manifest);
  keeper.Finish();
  EXPECT_THAT(kept_, ElementsAre(std::pair(1u, absl::StatusCode::kAlreadyExists)));
  EXPECT_TRUE(CheckTestCheckpoint(&disk_, CheckpointFolder(kRun, {1, 1}), {1, 1}).ok());
}

TEST_F(KeeperThreadTest, WhateverCallFailsTheOldOrTheNewOneIsThere) {
  TakeTestCheckpoint(&disk_, kRun, {1, 1}).IgnoreError();
  const Manifest manifest = WriteParts({2, 1});
  bool injected = true;
  for (int64_t at = 0; injected; ++at) {
    MemoryFileSystem disk(disk_);
    FaultyFileSystem faulty(&disk, FaultKind::kIoError, at);
    kept_.clear();
    KeeperThread keeper(&faulty, kRun, {.keep_last = 1}, Fence());
    keeper.Start(Note());
    keeper.Complete(CheckpointFolder(kRun, {2, 1}), manifest);
    keeper.DeleteSuperseded();
    keeper.Finish();
    injected = faulty.injected();
    ASSERT_EQ(kept_.size(), 1u);
    const bool complete = kept_[0].second == absl::StatusCode::kOk;
    const CheckpointId newest = complete ? CheckpointId{2, 1} : CheckpointId{1, 1};
    EXPECT_TRUE(CheckTestCheckpoint(&disk, CheckpointFolder(kRun, newest), newest).ok()) << "call " << at;
  }
}

}  // namespace
}  // namespace arcshard::coordinator
