#include "worker/training/checkpoint_writer.h"

#include <filesystem>
#include <optional>
#include <utility>

#include "ATen/ops/zeros.h"
#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/base/testing/fake_clock.h"
#include "common/io/forwarding_file_system.h"
#include "common/io/testing/faulty_file_system.h"
#include "common/io/testing/memory_file_system.h"
#include "gmock/gmock.h"
#include "worker/backbone/backbone_file.h"
#include "worker/training/testing/test_model.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The real file system, on which files are written only when the test allows it.
class HeldFileSystem final : public ForwardingFileSystem {
 public:
  HeldFileSystem() : ForwardingFileSystem(RealFileSystem()) {}

  // From now on every write waits for Go.
  void Hold() {
    MutexLock lock(&mutex_);
    held_ = true;
  }
  void Go() {
    MutexLock lock(&mutex_);
    held_ = false;
    changed_.NotifyAll();
  }
  // Waits until a write waits.
  void AwaitHeld() {
    MutexLock lock(&mutex_);
    while (waiting_ == 0) changed_.Wait(&mutex_);
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    auto file = ForwardingFileSystem::Create(path);
    if (!file.ok()) return file.status();
    return std::make_unique<File>(this, *std::move(file));
  }

 private:
  class File final : public WritableFile {
   public:
    File(HeldFileSystem* owner, std::unique_ptr<WritableFile> file) : owner_(owner), file_(std::move(file)) {}
    absl::Status Append(absl::Span<const std::byte> data) override {
      owner_->Pass();
      return file_->Append(data);
    }
    absl::Status Sync() override { return file_->Sync(); }
    absl::Status Close() override { return file_->Close(); }

   private:
    HeldFileSystem* const owner_;
    const std::unique_ptr<WritableFile> file_;
  };

  void Pass() {
    MutexLock lock(&mutex_);
    ++waiting_;
    changed_.NotifyAll();
    while (held_) changed_.Wait(&mutex_);
    --waiting_;
  }

  Mutex mutex_;
  CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

class CheckpointWriterTest : public ::testing::Test {
 protected:
  CheckpointWriterTest() { Restart(); }

  void Restart() {
    writer_.emplace(CheckpointWriter::Options{
        .files = &files_, .clock = &clock_, .metrics = &metrics_, .report = [this](const CheckpointReport& report) {
          MutexLock lock(&mutex_);
          reports_.push_back(report);
        }});
  }
  std::vector<CheckpointReport> Reports() {
    MutexLock lock(&mutex_);
    return reports_;
  }
  void Begin(uint64_t step, TestModel* model) { writer_->Begin({{3, 1}, step, FolderOf(step)}, model->state()); }
  std::string FolderOf(uint64_t step) const { return absl::StrCat(folder_.path(), "/", step); }
  std::vector<std::string> FilesOf(uint64_t step) {
    std::vector<std::string> names;
    const auto entries = RealFileSystem()->List(FolderOf(step));
    for (const FileSystem::Entry& entry : *entries) names.push_back(entry.name);
    return names;
  }
  std::string Content(uint64_t step, absl::string_view name) {
    return *ReadFile(absl::StrCat(FolderOf(step), "/", name));
  }

  TestFolder folder_;
  HeldFileSystem files_;
  FakeClock clock_;
  MetricRegistry registry_;
  WorkerMetrics metrics_{&registry_};
  Mutex mutex_;
  std::vector<CheckpointReport> reports_ ABSL_GUARDED_BY(mutex_);
  std::optional<CheckpointWriter> writer_;  // destroyed first, since it reports
};

TEST_F(CheckpointWriterTest, WritesTheBackboneAsTheRunsResultIsWritten) {
  TestModel model({}, 1);
  Begin(17, &model);
  writer_->Await();
  ASSERT_EQ(Reports().size(), 1u);
  const CheckpointReport report = Reports().front();
  EXPECT_TRUE(report.status.ok()) << report.status;
  EXPECT_EQ(report.step, 17u);
  EXPECT_EQ(report.view, (View{3, 1}));
  ASSERT_EQ(report.files.size(), 2u);
  EXPECT_EQ(report.files[0].name, kBackboneFile);
  EXPECT_EQ(report.files[1].name, kOptimizerFile);
  EXPECT_THAT(FilesOf(17), ElementsAre(kBackboneFile, kOptimizerFile));
  uint64_t bytes = 0;
  for (const FileRecord& file : report.files) {
    EXPECT_EQ(Content(17, file.name).size(), file.bytes);
    bytes += file.bytes;
  }
  EXPECT_EQ(metrics_.checkpoint_write_bytes.Value(), static_cast<double>(bytes));

  const std::string result = folder_.path() + "/result.safetensors";
  ASSERT_TRUE(SaveBackbone(*model.state().backbone, result, {{"step", "17"}}).ok());
  EXPECT_EQ(Content(17, kBackboneFile), *ReadFile(result));
  EXPECT_TRUE(OpenBackbone(absl::StrCat(FolderOf(17), "/", kBackboneFile)).ok());
}

TEST_F(CheckpointWriterTest, KeepsTheStateOfTheBoundaryWhileTrainingGoesOn) {
  TestModel model({.optimizer = AdamWOptions()}, 1), same({.optimizer = AdamWOptions()}, 1);
  files_.Hold();
  Begin(1, &model);
  files_.AwaitHeld();
  model.Train(2);
  EXPECT_THAT(Reports(), IsEmpty());
  files_.Go();
  writer_->Await();
  Begin(2, &same);
  writer_->Await();
  ASSERT_EQ(Reports().size(), 2u);
  const auto of_1 = SafetensorsFile::Open(absl::StrCat(FolderOf(1), "/", kOptimizerFile));
  const auto of_2 = SafetensorsFile::Open(absl::StrCat(FolderOf(2), "/", kOptimizerFile));
  ASSERT_TRUE(of_1.ok() && of_2.ok());
  ASSERT_GT(of_1->entries().size(), 100u);
  for (const auto& [name, entry] : of_1->entries()) EXPECT_EQ(*of_1->Read<float>(name), *of_2->Read<float>(name));
  const auto backbone_1 = OpenBackbone(absl::StrCat(FolderOf(1), "/", kBackboneFile));
  ASSERT_TRUE(backbone_1.ok()) << backbone_1.status();
  for (size_t i = 0; i < (*backbone_1)->state_dict().size(); ++i) {
    const NamedTensor& tensor = same.state().backbone->state_dict()[i];
    EXPECT_TRUE((*backbone_1)->state_dict()[i].tensor.equal(tensor.tensor)) << tensor.name;
  }
}

// Each call of the file system fails once, in each way.
TEST_F(CheckpointWriterTest, WhateverFailsIsReportedLeavesNothingAndTheNextOneSucceeds) {
  TestModel model({.backbone = {.name = "iresnet18", .width = 1, .image_size = 16, .embedding_size = 2}}, 1);
  for (const FaultKind kind : {FaultKind::kShortWrite, FaultKind::kNoSpace, FaultKind::kIoError, FaultKind::kSyncFails,
                               FaultKind::kRenameFails}) {
    int failures = 0;
    for (int64_t at = 0;; ++at) {
      MemoryFileSystem disk;
      FaultyFileSystem faulty(&disk, kind, at);
      CheckpointReport report;
      CheckpointWriter writer(
          {.files = &faulty, .clock = &clock_, .metrics = &metrics_, .report = [&](const CheckpointReport& written) {
             report = written;
           }});
      writer.Begin({{1, 1}, 5, "/run/checkpoints/5"}, model.state());
      writer.Await();
      if (at >= faulty.calls()) break;  // each has failed
      if (!faulty.injected()) continue;
      ++failures;
      ASSERT_FALSE(report.status.ok()) << "call " << at;
      EXPECT_THAT(std::string(report.status.message()), HasSubstr("/run/checkpoints"));
      EXPECT_EQ(report.step, 5u);
      EXPECT_THAT(report.files, IsEmpty());
      const auto left = disk.List("/run/checkpoints/5");
      EXPECT_TRUE(!left.ok() || left->empty()) << "call " << at << " left " << left->front().name;

      writer.Begin({{1, 1}, 6, "/run/checkpoints/6"}, model.state());
      writer.Await();
      ASSERT_TRUE(report.status.ok()) << report.status;
      EXPECT_EQ(report.step, 6u);
      EXPECT_EQ(report.files.size(), 2u);
    }
    EXPECT_GT(failures, 1);
  }
}

TEST_F(CheckpointWriterTest, WithoutMemoryForTheCopyThereIsNoCheckpointAndTrainingGoesOn) {
  TestModel model({}, 1);
  WorkerState state = model.state();
  state.loss_averages = at::zeros({1}).expand({int64_t{1} << 50});  // takes 4 bytes, and 4 PiB when it is copied
  writer_->Begin({{3, 1}, 1, FolderOf(1)}, state);
  writer_->Await();
  ASSERT_EQ(Reports().size(), 1u);
  EXPECT_EQ(Reports()[0].status.code(), absl::StatusCode::kResourceExhausted) << Reports()[0].status;
  EXPECT_THAT(std::string(Reports()[0].status.message()), HasSubstr("no memory to copy the state aside: "));
  Begin(2, &model);
  writer_->Await();
  EXPECT_TRUE(Reports().back().status.ok()) << Reports().back().status;
}

TEST_F(CheckpointWriterTest, AtTheEndOfTheRunWhatIsBeingWrittenIsGivenUp) {
  TestModel model({}, 1);
  files_.Hold();
  Begin(1, &model);
  files_.AwaitHeld();
  writer_->GiveUp();
  files_.Go();
  writer_->Await();
  EXPECT_THAT(Reports(), IsEmpty());
  EXPECT_THAT(FilesOf(1), IsEmpty());
}

}  // namespace
}  // namespace arcshard::worker
