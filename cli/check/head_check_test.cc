#include "cli/check/head_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/class_rows.h"
#include "common/config/compute_fingerprint.h"
#include "common/config/load_config.h"
#include "common/io/testing/memory_file_system.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/lineage.h"
#include "shard_server/checkpoint/shard_checkpointer.h"
#include "shard_server/head_from_config.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kClasses = 23, kDim = 8;
constexpr char kRun[] = "/run";
constexpr View kView{1, 1};

// A run of shards of very different sizes that carry out random steps, are recorded and take checkpoints.
class HeadCheckTest : public ::testing::TestWithParam<std::string> {
 protected:
  HeadCheckTest() {
    config_.run.folder = kRun;
    config_.data.train = "/data";
    config_.backbone.embedding_size = kDim;
    config_.head.scale = 16;
    config_.optimizer.kind = GetParam();
    if (GetParam() == "adamw") {
      config_.head.weights = config_.head.moments = "bfloat16";
      config_.head.sample_rate = 0.5;
    }
    for (const ClassRange range : {ClassRange{0, 2}, ClassRange{2, 20}, ClassRange{20, kClasses}}) {
      auto head = head::Head::Create(shard::HeadOptionsOf(config_, kClasses, range, DeviceName{}), int64_t{1} << 30);
      EXPECT_TRUE(head.ok()) << head.status();
      shards_.push_back(*std::move(head));
      ends_.push_back(range.end);
    }
  }

  // The shards carry out a step with these inputs.
  void Step() {
    auto record = std::make_shared<shard::ReplayRecord>();
    const uint64_t step = at_.step + 1;
    record->Reset(kView, {step, 0, 0, {3, 4}});
    record->workers = {0};
    std::uniform_real_distribution<float> draw(-1, 1);
    for (size_t i = 0; i < 2; ++i) {
      shard::MicroBatchRecord& inputs = record->micro_batches[i];
      for (uint32_t sample = 0; sample < record->plan.micro_batch_sizes[i]; ++sample) {
        inputs.labels.push_back(static_cast<int64_t>(random_() % kClasses));
        inputs.r.push_back(1e-28f * std::abs(draw(random_)));  // z is huge (DESIGN §1), and weights stay finite
        inputs.t.push_back(draw(random_));
        for (int64_t d = 0; d < kDim; ++d) inputs.embedding.push_back(draw(random_));
      }
    }
    record->groups = {{0}, {1}};
    record->outcome = step % 4 == 0 ? Outcome::kSkip : Outcome::kCommit;
    record->lr = 0.1;
    const Decision decision{.view = kView, .step = step, .outcome = *record->outcome, .lr = 0.1, .next = {}};
    record->after = {step, ExtendLineage(at_.lineage, decision)};
    for (const auto& head : shards_) {
      const absl::Status status = applier_.Replay(*record, head.get());
      EXPECT_TRUE(status.ok()) << status;
    }
    Write({record, at_, ends_, ComputeFingerprint(config_)});
    at_ = record->after;
  }
  void Write(const shard::RecordedStep& step) {
    EXPECT_TRUE(files_.CreateFolders(shard::RecordFolder(kRun)).ok());
    EXPECT_TRUE(shard::WriteRecord(&files_, shard::RecordFolder(kRun), step).ok());
  }

  void Checkpoint() {
    Manifest manifest;
    manifest.step = at_.step;
    manifest.lineage = at_.lineage;
    manifest.incarnation = 1;
    manifest.num_classes = kClasses;
    manifest.embedding_size = kDim;
    manifest.config_yaml = ToYaml(config_);
    manifest.version = "0";
    manifest.created = "2026-11-30T08:00:00Z";
    for (const auto& head : shards_) {
      shard::ShardCheckpointer checkpointer(
          {.run_folder = kRun}, head.get(), &files_, &metrics_, &clock_, [&manifest](const CheckpointReport& report) {
            EXPECT_TRUE(report.status.ok()) << report.status;
            manifest.files.insert(manifest.files.end(), report.files.begin(), report.files.end());
          });
      checkpointer.Begin(kView, at_.step);
      checkpointer.Await();
    }
    const absl::Status written = WriteManifest(&files_, CheckpointFolder(kRun, {at_.step, 1}), manifest);
    EXPECT_TRUE(written.ok()) << written;
  }
  // 6 steps, with checkpoints after 3 and 6.
  void Train() {
    for (int i = 0; i < 6; ++i) {
      Step();
      if (i % 3 == 2) Checkpoint();
    }
  }

  // The findings about all checkpoints, as lines.
  std::vector<std::string> Check() {
    const auto history = OpenHistory(&files_, kRun);
    EXPECT_TRUE(history.ok()) << history.status();
    auto check = HeadCheck::Create(&files_, &*history);
    EXPECT_TRUE(check.ok()) << check.status();
    std::vector<std::string> lines;
    size_t next = 0;
    for (const StatePoint& point : history->steps) {
      const auto step = shard::ReadRecord(&files_, shard::RecordFolder(kRun), point);
      EXPECT_TRUE((*check)->Replay(*step->record).ok());
      if (next == history->checkpoints.size() || history->checkpoints[next].point != point) continue;
      const auto checkpoint = OpenCheckpoint::Open(&files_, history->checkpoints[next++].folder);
      for (const Finding& finding : (*check)->Compare(*checkpoint)) {
        lines.push_back(absl::StrCat(finding.what, ": ", finding.equal() ? "equal" : finding.difference));
      }
    }
    return lines;
  }
  static std::string FileOf(uint64_t step, const std::string& classes) {
    return absl::StrCat("step-0000000", step, ".1/class_centers-", classes, ".safetensors: ");
  }

  MemoryFileSystem files_;
  const SystemClock clock_;
  MetricRegistry registry_;
  ShardMetrics metrics_{&registry_};
  RunConfig config_;
  std::vector<std::unique_ptr<head::Head>> shards_;
  std::vector<int64_t> ends_;
  shard::RecordApplier applier_;
  std::mt19937 random_{5};
  StatePoint at_;
};

TEST_P(HeadCheckTest, OneHeadHoldsWhatAllShardsHaveWritten) {
  Train();
  EXPECT_THAT(Check(), ::testing::ElementsAre(FileOf(3, "0-2") + "equal", FileOf(3, "2-20") + "equal",
                                              FileOf(3, "20-23") + "equal", FileOf(6, "0-2") + "equal",
                                              FileOf(6, "2-20") + "equal", FileOf(6, "20-23") + "equal"));
}

TEST_P(HeadCheckTest, AnotherInputOfOneStepIsFoundInTheStepsSinceTheLastEqualCheckpoint) {
  Train();
  // The last bit of one value of step 5, in a record that is otherwise whole.
  const auto history = OpenHistory(&files_, kRun);
  ASSERT_TRUE(history.ok());
  auto step = *shard::ReadRecord(&files_, shard::RecordFolder(kRun), history->steps[4]);
  auto changed = std::make_shared<shard::ReplayRecord>(*step.record);
  const int64_t label = changed->micro_batches[1].labels[2];
  changed->micro_batches[1].t[2] += 0.125f;
  step.record = changed;
  Write(step);
  const std::vector<std::string> lines = Check();
  EXPECT_EQ(std::count_if(lines.begin(), lines.begin() + 3, [](const auto& line) { return line.ends_with("equal"); }),
            3);
  const std::string classes = label < 2 ? "0-2" : label < 20 ? "2-20" : "20-23";
  EXPECT_THAT(lines,
              ::testing::Contains(AllOf(HasSubstr(FileOf(6, classes) + "differs in class_"),
                                        HasSubstr(absl::StrCat(" of class ", label, ", since one of steps 4 to 6")))));
}

TEST_P(HeadCheckTest, OtherClassCentersInACheckpointAreFound) {
  for (int i = 0; i < 3; ++i) Step();
  // Shard 1 has another value in the center of class 11 than the records lead to.
  std::vector<float> row(kDim);
  ASSERT_TRUE(shards_[1]->ReadWeights({11, 12}, {row.data(), 1, kDim}).ok());
  row[7] *= 1.03125f;
  ASSERT_TRUE(shards_[1]->WriteWeights({11, 12}, {row.data(), 1, kDim}).ok());
  Checkpoint();
  EXPECT_THAT(Check(), ::testing::ElementsAre(
                           FileOf(3, "0-2") + "equal",
                           FileOf(3, "2-20") + "differs in class_centers of class 11, since one of steps 1 to 3",
                           FileOf(3, "20-23") + "equal"));
}

TEST_P(HeadCheckTest, OtherMomentsAreFoundToo) {
  for (int i = 0; i < 3; ++i) Step();
  std::vector<float> row(kDim, 0.5f);
  ASSERT_TRUE(shards_[2]->WriteMoment(0, {22, 23}, {row.data(), 1, kDim}).ok());
  Checkpoint();
  EXPECT_THAT(Check(), ::testing::Contains(FileOf(3, "20-23") +
                                           "differs in class_moment_0 of class 22, since one of steps 1 to 3"));
}

TEST_P(HeadCheckTest, AFlippedBitInAPartOfACheckpointIsFound) {
  Train();
  const std::string path = absl::StrCat(CheckpointFolder(kRun, {6, 1}), "/class_centers-2-20.safetensors");
  std::string bytes = files_.Contents(path);
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 1);
  files_.SetContents(path, bytes);
  const std::vector<std::string> lines = Check();
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_THAT(lines[4], AllOf(HasSubstr(FileOf(6, "2-20") + "cannot be compared: "), HasSubstr(path)));
  for (const size_t other : {0, 1, 2, 3, 5}) EXPECT_THAT(lines[other], ::testing::EndsWith(": equal"));
}

TEST_P(HeadCheckTest, AHistoryThatBeginsWithACheckpointIsFollowedFromThere) {
  Train();
  const auto entries = files_.List(shard::RecordFolder(kRun));
  ASSERT_TRUE(entries.ok());
  for (const FileSystem::Entry& entry : *entries) {
    if (shard::PointOfRecord(entry.name)->step > 3) continue;
    ASSERT_TRUE(files_.Remove(absl::StrCat(shard::RecordFolder(kRun), "/", entry.name)).ok());
  }
  EXPECT_THAT(Check(), ::testing::ElementsAre(FileOf(6, "0-2") + "equal", FileOf(6, "2-20") + "equal",
                                              FileOf(6, "20-23") + "equal"));
}

INSTANTIATE_TEST_SUITE_P(Optimizers, HeadCheckTest, ::testing::Values("sgd", "adamw"),
                         [](const auto& kind) { return kind.param; });

}  // namespace
}  // namespace arcshard::cli
