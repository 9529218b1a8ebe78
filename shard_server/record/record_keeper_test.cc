#include "shard_server/record/record_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/io/forwarding_file_system.h"
#include "common/io/testing/faulty_file_system.h"
#include "common/io/testing/memory_file_system.h"
#include "shard_server/record/testing/step_kit.h"

namespace arcshard::shard {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kFolder[] = "/run/record";

ViewAnnouncement ViewOf(uint64_t counter) {
  ViewAnnouncement view;
  view.view = {1, counter};
  view.num_classes = 100;
  view.shards = {{.id = 0, .address = "", .range = {0, 40}}, {.id = 1, .address = "", .range = {40, 100}}};
  view.workers = {{.id = 4, .rendezvous = ""}, {.id = 6, .rendezvous = ""}};
  return view;
}

// A disk on which the next file appears only when it may.
class SlowDisk final : public ForwardingFileSystem {
 public:
  explicit SlowDisk(FileSystem* files) : ForwardingFileSystem(files) {}

  absl::Status Rename(const std::string& from, const std::string& to) override {
    {
      MutexLock lock(&mutex_);
      ++waiting_;
      changed_.NotifyAll();
      while (allowed_ == 0) changed_.Wait(&mutex_);
      --allowed_;
      --waiting_;
    }
    return ForwardingFileSystem::Rename(from, to);
  }
  void Allow(int files) {
    MutexLock lock(&mutex_);
    allowed_ += files;
    changed_.NotifyAll();
  }
  void AwaitWaiting() {
    MutexLock lock(&mutex_);
    while (waiting_ == 0) changed_.Wait(&mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int allowed_ ABSL_GUARDED_BY(mutex_) = 0;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

class RecordKeeperTest : public ::testing::Test {
 protected:
  static RecordKeeper::Options OptionsOf(FileSystem* files, uint32_t shard = 0) {
    return {.files = files, .run_folder = "/run", .configuration = 0xfedcba9876543210, .shard = shard};
  }
  // The steps after `before`.
  static std::vector<RecordedStep> Steps(StatePoint before, uint64_t count) {
    std::vector<RecordedStep> steps;
    for (uint64_t i = 0; i < count; ++i) {
      steps.push_back(MakeStep(before, i % 3 == 2 ? Outcome::kSkip : Outcome::kCommit));
      before = steps.back().record->after;
    }
    return steps;
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    const auto entries = files_.List(kFolder);
    for (const FileSystem::Entry& entry : entries.ok() ? *entries : std::vector<FileSystem::Entry>()) {
      names.push_back(entry.name);
    }
    return names;
  }
  static std::string NameOf(const RecordedStep& step) { return RecordName(step.record->after); }

  MemoryFileSystem files_;
};

TEST_F(RecordKeeperTest, EveryStepBecomesAFileThatSaysWhatWasCarriedOut) {
  const std::vector<RecordedStep> steps = Steps({7, 70}, 9);
  RecordKeeper keeper(OptionsOf(&files_));
  ASSERT_TRUE(keeper.Enter(ViewOf(2)).ok());
  keeper.Restored({7, 70});
  for (const RecordedStep& step : steps) ASSERT_TRUE(keeper.Add(step.record).ok());
  ASSERT_TRUE(keeper.Flush().ok());
  EXPECT_EQ(Names().size(), 9u);
  for (const RecordedStep& step : steps) {
    const auto read = ReadRecord(&files_, kFolder, step.record->after);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(SameStep(*read, step));
  }
}

TEST_F(RecordKeeperTest, OnlyTheLowestNumberedShardWrites) {
  const std::vector<RecordedStep> steps = Steps({}, 2);
  RecordKeeper keeper(OptionsOf(&files_, 1));
  ASSERT_TRUE(keeper.Enter(ViewOf(2)).ok());
  keeper.Restored({});
  ASSERT_TRUE(keeper.Add(steps[0].record).ok());
  ASSERT_TRUE(keeper.Flush().ok());
  EXPECT_THAT(Names(), IsEmpty());
  ViewAnnouncement without_the_first = ViewOf(3);
  without_the_first.shards.erase(without_the_first.shards.begin());
  ASSERT_TRUE(keeper.Enter(without_the_first).ok());
  ASSERT_TRUE(keeper.Add(steps[1].record).ok());
  ASSERT_TRUE(keeper.Flush().ok());
  EXPECT_THAT(Names(), ElementsAre(NameOf(steps[1])));
}

TEST_F(RecordKeeperTest, ASuccessorThatReplaysWritesWhatIsMissing) {
  const std::vector<RecordedStep> steps = Steps({}, 4);
  {
    RecordKeeper keeper(OptionsOf(&files_));
    ASSERT_TRUE(keeper.Enter(ViewOf(2)).ok());
    keeper.Restored({});
    for (size_t i = 0; i < 2; ++i) ASSERT_TRUE(keeper.Add(steps[i].record).ok());
  }
  const std::string first = absl::StrCat(kFolder, "/", NameOf(steps[0]));
  const std::string written = files_.Contents(first);
  files_.SetContents(first, "as it is");
  RecordKeeper keeper(OptionsOf(&files_));
  ASSERT_TRUE(keeper.Enter(ViewOf(3)).ok());
  keeper.Restored({});
  for (const RecordedStep& step : steps) ASSERT_TRUE(keeper.Add(step.record).ok());
  ASSERT_TRUE(keeper.Flush().ok());
  EXPECT_THAT(Names(), ElementsAre(NameOf(steps[0]), NameOf(steps[1]), NameOf(steps[2]), NameOf(steps[3])));
  EXPECT_EQ(files_.Contents(first), "as it is") << "a file that is there was written again";
  EXPECT_NE(written, "as it is");
}

TEST_F(RecordKeeperTest, TheStepsThatARollbackUndoesStay) {
  const std::vector<RecordedStep> undone = Steps({}, 2);
  RecordKeeper keeper(OptionsOf(&files_));
  ASSERT_TRUE(keeper.Enter(ViewOf(2)).ok());
  keeper.Restored({});
  for (const RecordedStep& step : undone) ASSERT_TRUE(keeper.Add(step.record).ok());
  keeper.Restored({});
  const RecordedStep again = MakeStep({}, Outcome::kCommit, /*counter=*/3);
  ASSERT_TRUE(keeper.Add(again.record).ok());
  ASSERT_TRUE(keeper.Flush().ok());
  EXPECT_THAT(Names(), ::testing::UnorderedElementsAre(NameOf(undone[0]), NameOf(undone[1]), NameOf(again)));
}

TEST_F(RecordKeeperTest, WhatAKilledProcessLeftOfAFileIsRemoved) {
  const RecordedStep step = MakeStep({});
  // Dies at each call in turn.
  for (int64_t call = 0;; ++call) {
    MemoryFileSystem files;
    {
      FaultyFileSystem dying(&files, FaultKind::kCrash, call);
      RecordKeeper keeper(OptionsOf(&dying));
      if (keeper.Enter(ViewOf(2)).ok()) {
        keeper.Restored({});
        (void)keeper.Add(step.record);  // the process is dead
        (void)keeper.Flush();
      }
      if (!dying.injected()) break;
    }
    RecordKeeper keeper(OptionsOf(&files));
    ASSERT_TRUE(keeper.Enter(ViewOf(2)).ok()) << call;
    keeper.Restored({});
    ASSERT_TRUE(keeper.Add(step.record).ok());
    ASSERT_TRUE(keeper.Flush().ok()) << call;
    const auto entries = files.List(kFolder);
    ASSERT_TRUE(entries.ok());
    ASSERT_EQ(entries->size(), 1u) << "after a death at call " << call;
    EXPECT_TRUE(ReadRecord(&files, kFolder, step.record->after).ok());
  }
}

TEST_F(RecordKeeperTest, AFullDiskEndsItWithASentenceThatNamesTheStep) {
  const std::vector<RecordedStep> steps = Steps({7, 70}, 2);
  int failures = 0;
  for (int64_t call = 0; call < 40; ++call) {
    MemoryFileSystem disk;
    FaultyFileSystem full(&disk, FaultKind::kNoSpace, call);
    RecordKeeper keeper(OptionsOf(&full));
    ASSERT_TRUE(disk.CreateFolders(kFolder).ok());
    if (const absl::Status entered = keeper.Enter(ViewOf(2)); !entered.ok()) continue;
    keeper.Restored({7, 70});
    ASSERT_TRUE(keeper.Add(steps[0].record).ok());
    const absl::Status flushed = keeper.Flush();
    if (!full.injected()) continue;
    ++failures;
    EXPECT_EQ(flushed.code(), absl::StatusCode::kResourceExhausted) << flushed;
    EXPECT_THAT(std::string(flushed.message()),
                AllOf(HasSubstr("run.record"), HasSubstr("step 8"), HasSubstr(kFolder)));
    EXPECT_EQ(keeper.Add(steps[1].record), flushed) << "the history would have a gap";
    EXPECT_EQ(keeper.Flush(), flushed);
  }
  EXPECT_GT(failures, 5);
}

TEST_F(RecordKeeperTest, AddWaitsWhereTheDiskIsTooSlow) {
  const std::vector<RecordedStep> steps = Steps({}, 7);
  SlowDisk disk(&files_);
  RecordKeeper keeper(OptionsOf(&disk));
  ASSERT_TRUE(keeper.Enter(ViewOf(2)).ok());
  keeper.Restored({});
  // One is being written and four wait: so many are taken at once.
  for (size_t i = 0; i < 5; ++i) ASSERT_TRUE(keeper.Add(steps[i].record).ok());
  disk.AwaitWaiting();
  EXPECT_THAT(Names(), ::testing::Each(::testing::Not(NameOf(steps[0]))));
  std::thread adds([&] {
    for (size_t i = 5; i < 7; ++i) EXPECT_TRUE(keeper.Add(steps[i].record).ok());
    EXPECT_GE(Names().size(), 2u) << "it did not wait until there was room";
  });
  disk.Allow(7);
  adds.join();
  ASSERT_TRUE(keeper.Flush().ok());
  EXPECT_EQ(Names().size(), 7u);
}

TEST_F(RecordKeeperTest, WhatWaitsIsWrittenBeforeTheEnd) {
  const std::vector<RecordedStep> steps = Steps({}, 3);
  SlowDisk disk(&files_);
  {
    RecordKeeper keeper(OptionsOf(&disk));
    ASSERT_TRUE(keeper.Enter(ViewOf(2)).ok());
    keeper.Restored({});
    for (const RecordedStep& step : steps) ASSERT_TRUE(keeper.Add(step.record).ok());
    disk.Allow(3);
  }
  EXPECT_EQ(Names().size(), 3u);
}

}  // namespace
}  // namespace arcshard::shard
