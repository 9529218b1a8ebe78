#include "shard_server/held_range.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"
#include "common/base/mutex.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/io/forwarding_file_system.h"
#include "common/io/safetensors.h"
#include "common/io/testing/memory_file_system.h"
#include "shard_server/checkpoint/testing/checkpoint_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr ClassRange kRange{0, 60};
constexpr int64_t kClasses = 60;
constexpr int64_t kDim = 16;
constexpr View kView{3, 2};
constexpr StatePoint kState{17, 0xBEEF};

// A disk that blocks when a file is created, until LetGo.
class HeldDisk final : public ForwardingFileSystem {
 public:
  using ForwardingFileSystem::ForwardingFileSystem;

  void LetGo() {
    MutexLock lock(&mutex_);
    held_ = false;
    changed_.NotifyAll();
  }
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    {
      MutexLock lock(&mutex_);
      while (held_) changed_.Wait(&mutex_);
    }
    return ForwardingFileSystem::Create(path);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mutex_) = true;
};

class HeldRangeTest : public testing::Test {
 protected:
  HeldRangeTest() {
    config_.run.folder = "/run";
    config_.backbone.embedding_size = kDim;
    config_.head.exp_budget_mb = 0;
    config_.optimizer.kind = "adamw";
  }

  std::unique_ptr<HeldRange> Create(FileSystem* files, const std::string& checkpoint = "") {
    auto range = HeldRange::Create({.config = &config_,
                                    .device = {},
                                    .capacity_bytes = int64_t{1} << 30,
                                    .files = files,
                                    .metrics = &metrics_,
                                    .clock = &clock_,
                                    .report =
                                        [this](const CheckpointReport& report) {
                                          MutexLock lock(&mutex_);
                                          reports_.push_back(report);
                                        }},
                                   ViewOf({}, checkpoint), kRange);
    EXPECT_TRUE(range.ok()) << range.status();
    return *std::move(range);
  }
  std::unique_ptr<HeldRange> Create() { return Create(&disk_); }
  static ViewAnnouncement ViewOf(const StatePoint& base, const std::string& checkpoint) {
    ViewAnnouncement view;
    view.view = kView;
    view.num_classes = kClasses;
    view.state = view.base = base;
    view.checkpoint = checkpoint;
    return view;
  }
  // Makes the range hold rows as training might leave them.
  static void Train(HeldRange* range, float by) {
    const std::vector<float> values(kRange.size() * kDim, by);
    const head::MatrixView<const float> rows{values.data(), kRange.size(), kDim};
    ASSERT_TRUE(range->head()->WriteWeights(kRange, rows).ok());
    ASSERT_TRUE(range->head()->WriteMoment(0, kRange, rows).ok());
    ASSERT_TRUE(range->head()->WriteMoment(1, kRange, rows).ok());
    const std::vector<uint32_t> counts(kRange.size(), 5);
    ASSERT_TRUE(range->head()->WriteCounts(kRange, counts).ok());
  }
  std::vector<CheckpointReport> Reports() {
    MutexLock lock(&mutex_);
    return reports_;
  }
  // Completes the checkpoint whose part the range has written. Returns its folder.
  std::string Complete() {
    const std::string folder = CheckpointFolder("/run", {kState.step, kView.incarnation, kView.counter});
    Manifest manifest;
    manifest.step = kState.step;
    manifest.lineage = kState.lineage;
    manifest.incarnation = kView.incarnation;
    manifest.view_counter = kView.counter;
    manifest.num_classes = kClasses;
    manifest.embedding_size = kDim;
    for (const CheckpointReport& report : Reports()) {
      EXPECT_TRUE(report.status.ok()) << report.status;
      manifest.files.insert(manifest.files.end(), report.files.begin(), report.files.end());
    }
    const absl::Status status = WriteManifest(&disk_, folder, manifest);
    EXPECT_TRUE(status.ok()) << status;
    return folder;
  }

  RunConfig config_;
  MemoryFileSystem disk_;
  MetricRegistry registry_;
  ShardMetrics metrics_{&registry_};
  SystemClock clock_;
  Mutex mutex_;
  std::vector<CheckpointReport> reports_ ABSL_GUARDED_BY(mutex_);
};

// On a processor whose own products are the slower ones, too.
TEST_F(HeldRangeTest, ADeterministicRunHasTheProcessorsOwnProductsWhateverIsMeasured) {
  config_.head.compute = "bfloat16";
  config_.run.deterministic = true;
  MemoryFileSystem files;
  EXPECT_EQ(Create(&files)->head()->options().bfloat16_products, head::Bfloat16Products::kNative);
}

TEST_F(HeldRangeTest, ANewOneHoldsTheFirstWeights) {
  const auto range = Create();
  const auto other = Create();
  ASSERT_TRUE(range->Restore(ViewOf({}, "")).ok());
  EXPECT_TRUE(RowsHeldBy(*range->head()) == RowsHeldBy(*other->head()));
  EXPECT_EQ(metrics_.classes.Value(), 60.0);
}

TEST_F(HeldRangeTest, OneThatHasTrainedGoesBackToTheFirstWeights) {
  const auto range = Create();
  ASSERT_TRUE(range->Restore(ViewOf({}, "")).ok());
  const HeldRows first = RowsHeldBy(*range->head());
  Train(range.get(), 0.5f);
  ASSERT_FALSE(RowsHeldBy(*range->head()) == first);
  const absl::Status status = range->Restore(ViewOf({}, ""));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(RowsHeldBy(*range->head()) == first);
}

TEST_F(HeldRangeTest, AlsoWhereTheFirstWeightsComeFromAFile) {
  const std::string folder = absl::StrCat(testing::TempDir(), "/held_range_test_", ::getpid());
  std::filesystem::create_directories(folder);
  config_.head.init = folder + "/init.safetensors";
  const std::vector<float> centers(kClasses * kDim, 0.25f);
  ASSERT_TRUE(
      WriteSafetensors(config_.head.init, {TensorView::Of<float>("class_centers", {kClasses, kDim}, centers)}).ok());
  const auto range = Create();
  ASSERT_TRUE(range->Restore(ViewOf({}, "")).ok());
  const HeldRows first = RowsHeldBy(*range->head());
  Train(range.get(), 0.5f);
  ASSERT_TRUE(range->Restore(ViewOf({}, "")).ok());
  EXPECT_TRUE(RowsHeldBy(*range->head()) == first);
  std::vector<float> weights(kRange.size() * kDim);
  ASSERT_TRUE(range->head()->ReadWeights(kRange, {weights.data(), kRange.size(), kDim}).ok());
  EXPECT_EQ(weights, std::vector<float>(kRange.size() * kDim, 0.25f));
  std::filesystem::remove_all(folder);
}

TEST_F(HeldRangeTest, OneThatHoldsOtherRowsIsRestoredFromACheckpoint) {
  const auto range = Create();
  Train(range.get(), 0.5f);
  const HeldRows written = RowsHeldBy(*range->head());
  range->BeginCheckpoint(kView, kState.step);
  range->AwaitCheckpoint();
  const std::string folder = Complete();
  Train(range.get(), 2.0f);
  ASSERT_FALSE(RowsHeldBy(*range->head()) == written);
  const absl::Status status = range->Restore(ViewOf(kState, folder));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(RowsHeldBy(*range->head()) == written);
  // And back to the beginning.
  ASSERT_TRUE(range->Restore(ViewOf({}, "")).ok());
  EXPECT_TRUE(RowsHeldBy(*range->head()) == RowsHeldBy(*Create()->head()));
}

TEST_F(HeldRangeTest, ANewOneForACheckpointDrawsFirstWeightsOnlyIfItNeedsThem) {
  const std::string folder = "/run/checkpoints/step-00000017.1";
  const auto range = Create(&disk_, folder);
  std::vector<float> weights(kRange.size() * kDim, 1.0f);
  ASSERT_TRUE(range->head()->ReadWeights(kRange, {weights.data(), kRange.size(), kDim}).ok());
  EXPECT_EQ(weights, std::vector<float>(kRange.size() * kDim, 0.0f));
  EXPECT_FALSE(range->Restore(ViewOf(kState, folder)).ok()) << "there is none";
  ASSERT_TRUE(range->Restore(ViewOf({}, "")).ok());
  EXPECT_TRUE(RowsHeldBy(*range->head()) == RowsHeldBy(*Create()->head()));
}

TEST_F(HeldRangeTest, ACheckpointThatIsNotThereIsToBlame) {
  const absl::Status status = Create()->Restore(ViewOf(kState, "/run/checkpoints/step-00000017.1"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("/run/checkpoints/step-00000017.1"));
  EXPECT_EQ(DetailsOf(status).cause, FailureCause::kCheckpointUnreadable);
}

TEST_F(HeldRangeTest, ACheckpointThatIsBeingWrittenDoesNotGetTheRestoredRows) {
  HeldDisk slow(&disk_);
  const auto range = Create(&slow);
  Train(range.get(), 0.5f);
  range->BeginCheckpoint(kView, kState.step);
  std::thread release([&] { slow.LetGo(); });
  ASSERT_TRUE(range->Restore(ViewOf({}, "")).ok());
  release.join();
  // Restore has waited for its end: it was given up, or it was complete before.
  ASSERT_THAT(Reports(), SizeIs(1));
  const CheckpointReport report = Reports()[0];
  if (!report.status.ok()) {
    EXPECT_EQ(report.status.code(), absl::StatusCode::kCancelled) << report.status;
    EXPECT_THAT(report.files, IsEmpty());
    return;
  }
  const std::string folder = Complete();
  ASSERT_TRUE(range->Restore(ViewOf(kState, folder)).ok());
  const HeldRows restored = RowsHeldBy(*range->head());
  Train(range.get(), 0.5f);
  EXPECT_TRUE(RowsHeldBy(*range->head()) == restored);
}

}  // namespace
}  // namespace arcshard::shard
