#include "shard_server/checkpoint/shard_checkpointer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/checkpoint/checkpoint_folder.h"
#include "common/io/file.h"
#include "common/io/forwarding_file_system.h"
#include "common/io/safetensors.h"
#include "common/io/testing/faulty_file_system.h"
#include "common/io/testing/memory_file_system.h"
#include "shard_server/checkpoint/testing/checkpoint_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr View kView{3, 2};
constexpr char kRun[] = "/run";

head::HeadOptions Options() {
  head::HeadOptions options;
  options.num_classes = 5000;
  options.range = {1000, 5000};
  options.dim = 128;
  options.threads = 2;
  options.optimizer = head::AdamWOptions();
  options.moments = head::DataType::kBfloat16;
  return options;
}

// A disk that blocks when a file is created, until LetGo.
class HeldDisk final : public ForwardingFileSystem {
 public:
  using ForwardingFileSystem::ForwardingFileSystem;

  void LetGo() {
    MutexLock lock(&mutex_);
    held_ = false;
    changed_.NotifyAll();
  }
  void AwaitWriter() {
    MutexLock lock(&mutex_);
    while (!reached_) changed_.Wait(&mutex_);
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    {
      MutexLock lock(&mutex_);
      reached_ = true;
      changed_.NotifyAll();
      while (held_) changed_.Wait(&mutex_);
    }
    return ForwardingFileSystem::Create(path);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mutex_) = true;
  bool reached_ ABSL_GUARDED_BY(mutex_) = false;
};

class ShardCheckpointerTest : public testing::Test {
 protected:
  void Start(FileSystem* files, const head::HeadOptions& options = Options()) {
    heads_ = std::make_unique<TrainedHeads>(options, std::vector<ClassRange>{{0, options.range.begin}, options.range});
    heads_->Step();
    checkpointer_ = std::make_unique<ShardCheckpointer>(ShardCheckpointer::Options{kRun, 1}, heads_->head(1), files,
                                                        &metrics_, &clock_, [this](const CheckpointReport& report) {
                                                          MutexLock lock(&mutex_);
                                                          reports_.push_back(report);
                                                        });
  }
  std::vector<CheckpointReport> Reports() {
    MutexLock lock(&mutex_);
    return reports_;
  }
  std::vector<std::string> FilesOf(uint64_t step) {
    std::vector<std::string> names;
    const auto entries = disk_.List(CheckpointFolder(kRun, {step, kView.incarnation, kView.counter}));
    EXPECT_TRUE(entries.ok()) << entries.status();
    if (entries.ok()) {
      for (const FileSystem::Entry& entry : *entries) names.push_back(entry.name);
    }
    return names;
  }
  // The tensors in the file of `step`, by name.
  HeldRows Written(uint64_t step) {
    HeldRows rows;
    const std::string path =
        CheckpointFolder(kRun, {step, kView.incarnation, kView.counter}) + "/class_centers-1000-5000.safetensors";
    auto source = disk_.Open(path);
    EXPECT_TRUE(source.ok()) << source.status();
    if (!source.ok()) return rows;
    auto file = SafetensorsFile::Open(std::shared_ptr<const ByteSource>(*std::move(source)));
    EXPECT_TRUE(file.ok()) << file.status();
    if (!file.ok()) return rows;
    metadata_ = file->metadata();
    const std::pair<head::RowPart, std::string> parts[] = {{head::RowPart::kWeights, "class_centers.1000-5000"},
                                                           {head::RowPart::kMoment0, "class_moment_0.1000-5000"},
                                                           {head::RowPart::kMoment1, "class_moment_1.1000-5000"},
                                                           {head::RowPart::kCounts, "class_counts.1000-5000"}};
    for (const auto& [part, name] : parts) {
      const auto entry = file->Find(name);
      EXPECT_TRUE(entry.ok()) << entry.status();
      if (!entry.ok()) continue;
      rows[part].resize((*entry)->bytes);
      EXPECT_TRUE(file->ReadRowBytes(name, (*entry)->dtype, 0, (*entry)->shape[0], absl::MakeSpan(rows[part])).ok());
    }
    return rows;
  }

  MemoryFileSystem disk_;
  MetricRegistry registry_;
  ShardMetrics metrics_{&registry_};
  SystemClock clock_;
  Mutex mutex_;
  std::vector<CheckpointReport> reports_ ABSL_GUARDED_BY(mutex_);
  SafetensorsMetadata metadata_;
  std::unique_ptr<TrainedHeads> heads_;
  std::unique_ptr<ShardCheckpointer> checkpointer_;
};

TEST_F(ShardCheckpointerTest, ThePartHoldsTheStateAtTheBoundaryAndIsReported) {
  Start(&disk_);
  const HeldRows before = RowsHeldBy(*heads_->head(1));
  checkpointer_->Begin(kView, 17);
  heads_->Step();
  heads_->Step();
  checkpointer_->Await();
  EXPECT_TRUE(Written(17) == before);
  EXPECT_EQ(metadata_, (SafetensorsMetadata{
                           {"format", "arcshard"}, {"num_classes", "5000"}, {"range", "1000-5000"}, {"step", "17"}}));

  ASSERT_THAT(Reports(), SizeIs(1));
  const CheckpointReport report = Reports()[0];
  EXPECT_EQ(report.view, kView);
  EXPECT_EQ(report.step, 17u);
  EXPECT_TRUE(report.status.ok()) << report.status;
  EXPECT_GT(report.took, absl::ZeroDuration());
  ASSERT_THAT(report.files, SizeIs(1));
  EXPECT_EQ(report.files[0].name, "class_centers-1000-5000.safetensors");
  EXPECT_THAT(FilesOf(17), ElementsAre(report.files[0].name));
  EXPECT_EQ(metrics_.checkpoint_write_bytes.Value(), static_cast<double>(report.files[0].bytes));
  EXPECT_EQ(metrics_.checkpoint_write.Collect().histogram.sample_count, 1u);
}

TEST_F(ShardCheckpointerTest, OnAFullDiskNothingIsLeftTrainingGoesOnAndTheNextOneSucceeds) {
  FaultyFileSystem full(&disk_, FaultKind::kNoSpace, 6);
  Start(&full);
  checkpointer_->Begin(kView, 17);
  heads_->Step();
  checkpointer_->Await();
  ASSERT_TRUE(full.injected());
  ASSERT_THAT(Reports(), SizeIs(1));
  EXPECT_EQ(Reports()[0].status.code(), absl::StatusCode::kResourceExhausted) << Reports()[0].status;
  EXPECT_THAT(std::string(Reports()[0].status.message()), HasSubstr("class_centers-1000-5000.safetensors"));
  EXPECT_THAT(Reports()[0].files, IsEmpty());
  EXPECT_THAT(FilesOf(17), IsEmpty());
  EXPECT_EQ(metrics_.checkpoint_write_bytes.Value(), 0.0);

  const HeldRows before = RowsHeldBy(*heads_->head(1));
  checkpointer_->Begin(kView, 18);
  heads_->Step();
  checkpointer_->Await();
  ASSERT_THAT(Reports(), SizeIs(2));
  EXPECT_TRUE(Reports()[1].status.ok()) << Reports()[1].status;
  EXPECT_TRUE(Written(18) == before);
}

// Each call that writing makes fails once, in each way. The report says so, and the file is complete or absent.
TEST_F(ShardCheckpointerTest, WhateverFailsTheReportTellsWhatIsThere) {
  head::HeadOptions small = Options();
  small.num_classes = 30;
  small.range = {10, 30};
  small.dim = 8;
  for (const FaultKind kind : {FaultKind::kShortWrite, FaultKind::kNoSpace, FaultKind::kIoError, FaultKind::kSyncFails,
                               FaultKind::kRenameFails}) {
    for (int64_t at = 0; at < 20; ++at) {
      const uint64_t step = static_cast<uint64_t>(kind) * 100 + static_cast<uint64_t>(at);
      ASSERT_TRUE(disk_.CreateFolders(CheckpointFolder(kRun, {step, kView.incarnation, kView.counter})).ok());
      FaultyFileSystem faulty(&disk_, kind, at);
      Start(&faulty, small);
      checkpointer_->Begin(kView, step);
      checkpointer_->Await();
      const CheckpointReport report = Reports().back();
      EXPECT_EQ(report.status.ok(), report.files.size() == 1) << report.status;
      EXPECT_LE(report.files.size(), FilesOf(step).size());
      checkpointer_.reset();
    }
  }
  EXPECT_THAT(Reports(), SizeIs(100));
}

// The process was stopped while it wrote.
TEST_F(ShardCheckpointerTest, OnceALaterCoordinatorHasTheRunsFolderNoPartAppears) {
  HeldDisk held(&disk_);
  Start(&held);
  checkpointer_->Begin(kView, 17);
  held.AwaitWriter();
  absl::StatusOr<AtomicFile> number = AtomicFile::Create("/run/incarnation", &disk_);
  ASSERT_TRUE(number.ok()) << number.status();
  ASSERT_TRUE(number->Append("4\n").ok());
  ASSERT_TRUE(number->Commit().ok());
  held.LetGo();
  checkpointer_->Await();
  ASSERT_THAT(Reports(), SizeIs(1));
  EXPECT_EQ(Reports()[0].status.code(), absl::StatusCode::kFailedPrecondition) << Reports()[0].status;
  EXPECT_THAT(std::string(Reports()[0].status.message()), HasSubstr("incarnation 4"));
  EXPECT_THAT(FilesOf(17), IsEmpty());
}

TEST_F(ShardCheckpointerTest, AnEmptyRangeReportsNoFile) {
  head::HeadOptions options = Options();
  options.range = {5000, 5000};
  Start(&disk_, options);
  checkpointer_->Begin(kView, 17);
  heads_->Step();
  ASSERT_THAT(Reports(), SizeIs(1));
  EXPECT_TRUE(Reports()[0].status.ok());
  EXPECT_THAT(Reports()[0].files, IsEmpty());
}

TEST_F(ShardCheckpointerTest, TheNextOneWaitsForTheOneInProgress) {
  HeldDisk held(&disk_);
  Start(&held);
  const HeldRows first = RowsHeldBy(*heads_->head(1));
  checkpointer_->Begin(kView, 17);
  held.AwaitWriter();
  EXPECT_THAT(Reports(), IsEmpty());
  std::thread next([&] { checkpointer_->Begin(kView, 18); });
  held.LetGo();
  next.join();
  checkpointer_->Await();
  ASSERT_THAT(Reports(), SizeIs(2));
  EXPECT_EQ(Reports()[0].step, 17u);
  EXPECT_EQ(Reports()[1].step, 18u);
  EXPECT_TRUE(Written(17) == first);
  EXPECT_TRUE(Written(18) == first);
}

// A run that has failed must not wait for the disk.
TEST_F(ShardCheckpointerTest, GivenUpItHoldsUpNoUpdateWhateverTheDiskDoes) {
  HeldDisk held(&disk_);
  Start(&held);
  checkpointer_->Begin(kView, 17);
  held.AwaitWriter();
  std::thread step([&] { heads_->Step(); });  // without room for its copies
  checkpointer_->GiveUp();
  step.join();
  EXPECT_THAT(Reports(), IsEmpty());
  held.LetGo();
  checkpointer_->Await();
  ASSERT_THAT(Reports(), SizeIs(1));
  EXPECT_EQ(Reports()[0].status.code(), absl::StatusCode::kCancelled) << Reports()[0].status;
  EXPECT_THAT(FilesOf(17), IsEmpty());
}

TEST_F(ShardCheckpointerTest, DestroyedWhileItWritesItEndsInOrderAndSaysWhatIsThere) {
  HeldDisk held(&disk_);
  Start(&held);
  checkpointer_->Begin(kView, 17);
  held.AwaitWriter();
  std::thread destroyer([&] { checkpointer_.reset(); });
  // The rows are abandoned whether or not the disk continues first; a complete file must be one that was reported.
  held.LetGo();
  destroyer.join();
  ASSERT_THAT(Reports(), SizeIs(1));
  EXPECT_EQ(FilesOf(17).size(), Reports()[0].files.size());
  heads_->Step();  // the head has no observer
}

}  // namespace
}  // namespace arcshard::shard
