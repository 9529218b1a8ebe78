#include "cli/check/run_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/config/compute_fingerprint.h"
#include "common/config/load_config.h"
#include "common/io/testing/memory_file_system.h"
#include "shard_server/record/testing/step_kit.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kRun[] = "/run", kRecords[] = "/run/record";

class RunHistoryTest : public ::testing::Test {
 protected:
  RunHistoryTest() {
    config_.backbone.embedding_size = 3;
    config_.run.folder = kRun;
    config_.data.train = "/data";
  }

  // Records `count` steps after `at`; returns the states after each.
  std::vector<StatePoint> Record(StatePoint at, uint64_t count, uint64_t view = 1) {
    EXPECT_TRUE(files_.CreateFolders(kRecords).ok());
    std::vector<StatePoint> points;
    for (uint64_t i = 0; i < count; ++i) {
      shard::RecordedStep step = shard::MakeStep(at, Outcome::kCommit, view);
      step.configuration = ComputeFingerprint(config_);
      EXPECT_TRUE(shard::WriteRecord(&files_, kRecords, step).ok());
      points.push_back(at = step.record->after);
    }
    return points;
  }
  std::string Checkpoint(const StatePoint& point, uint64_t incarnation = 1) {
    Manifest manifest;
    manifest.step = point.step;
    manifest.lineage = point.lineage;
    manifest.incarnation = incarnation;
    manifest.num_classes = 100;
    manifest.embedding_size = 3;
    manifest.config_yaml = ToYaml(config_);
    manifest.version = "0";
    manifest.created = "2026-11-30T08:00:00Z";
    const std::string folder = CheckpointFolder(kRun, {point.step, incarnation});
    EXPECT_TRUE(files_.CreateFolders(folder).ok());
    const absl::Status written = WriteManifest(&files_, folder, manifest);
    EXPECT_TRUE(written.ok()) << written;
    return folder;
  }
  static std::string PathOf(const StatePoint& point) { return absl::StrCat(kRecords, "/", shard::RecordName(point)); }
  absl::Status Error() { return OpenHistory(&files_, kRun).status(); }

  MemoryFileSystem files_;
  RunConfig config_;
};

TEST_F(RunHistoryTest, TheWayLeadsFromTheFirstWeightsToTheNewestCheckpoint) {
  const std::vector<StatePoint> points = Record({}, 6);
  const std::string older = Checkpoint(points[2]), newest = Checkpoint(points[4]);
  const auto history = OpenHistory(&files_, kRun);
  ASSERT_TRUE(history.ok()) << history.status();
  EXPECT_EQ(history->start, StatePoint{});
  EXPECT_EQ(history->start_folder, "");
  EXPECT_EQ(history->steps, std::vector<StatePoint>(points.begin(), points.begin() + 5));
  ASSERT_EQ(history->checkpoints.size(), 2u);
  EXPECT_EQ(history->checkpoints[0].folder, older);
  EXPECT_EQ(history->checkpoints[1].folder, newest);
  EXPECT_EQ(history->newest.step, 5u);
  EXPECT_THAT(history->notes, IsEmpty());
}

TEST_F(RunHistoryTest, StepsThatARollbackUndidAreNotOnIt) {
  const std::vector<StatePoint> before = Record({}, 5, /*view=*/1);
  const std::vector<StatePoint> again = Record(before[1], 4, /*view=*/2);
  Checkpoint(before[1]);
  const std::string undone = Checkpoint(before[3]);
  Checkpoint(again[3]);
  const auto history = OpenHistory(&files_, kRun);
  ASSERT_TRUE(history.ok()) << history.status();
  EXPECT_THAT(history->steps, ElementsAre(before[0], before[1], again[0], again[1], again[2], again[3]));
  EXPECT_EQ(history->checkpoints.size(), 2u);
  EXPECT_THAT(history->notes, ElementsAre(AllOf(HasSubstr(undone), HasSubstr("not on the way"))));
}

TEST_F(RunHistoryTest, RecordsThatBeginLaterStartFromTheCheckpointBeforeThem) {
  const StatePoint begin{7, 1234};
  const std::vector<StatePoint> points = Record(begin, 3);
  Checkpoint(points[2]);
  EXPECT_EQ(Error().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Error().message()), AllOf(HasSubstr(kRecords), HasSubstr("begin with step 8")));
  const std::string folder = Checkpoint(begin);
  const auto history = OpenHistory(&files_, kRun);
  ASSERT_TRUE(history.ok()) << history.status();
  EXPECT_EQ(history->start, begin);
  EXPECT_EQ(history->start_folder, folder);
  EXPECT_EQ(history->checkpoints.size(), 1u);
}

TEST_F(RunHistoryTest, AGapIsNamed) {
  const std::vector<StatePoint> points = Record({}, 5);
  Checkpoint(points[4]);
  ASSERT_TRUE(files_.Remove(PathOf(points[2])).ok());
  EXPECT_EQ(Error().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Error().message()),
              AllOf(HasSubstr(kRecords), HasSubstr("has a gap: step 4 went on from the state after step 3")));
  Checkpoint(points[2]);
  EXPECT_THAT(std::string(Error().message()), HasSubstr("has a gap"));
}

TEST_F(RunHistoryTest, SoIsWhatIsMissingAltogether) {
  EXPECT_EQ(Error().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Error().message()), AllOf(HasSubstr(kRecords), HasSubstr("run.record: true")));
  const std::vector<StatePoint> points = Record({}, 2);
  EXPECT_EQ(Error().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Error().message()), HasSubstr("no complete checkpoint"));
  const std::string folder = Checkpoint({2, points[1].lineage + 1});
  EXPECT_EQ(Error().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Error().message()), AllOf(HasSubstr("no record that leads to"), HasSubstr(folder)));
}

TEST_F(RunHistoryTest, ADamagedRecordIsNamed) {
  const std::vector<StatePoint> points = Record({}, 3);
  Checkpoint(points[2]);
  std::string bytes = files_.Contents(PathOf(points[1]));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  files_.SetContents(PathOf(points[1]), bytes);
  EXPECT_EQ(Error().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(Error().message()), HasSubstr(PathOf(points[1])));
}

TEST_F(RunHistoryTest, AnotherConfigurationIsRefused) {
  config_.head.scale = 30;
  const std::vector<StatePoint> points = Record({}, 2);
  config_.head.scale = 40;
  const std::string folder = Checkpoint(Record(points[1], 2)[1]);
  EXPECT_EQ(Error().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Error().message()),
              AllOf(HasSubstr(PathOf(points[1])), HasSubstr("another configuration"), HasSubstr(folder)));
}

TEST_F(RunHistoryTest, ANewLearningRateOrAnotherNumberOfProcessesIsNone) {
  const std::vector<StatePoint> points = Record({}, 2);
  config_.schedule.lr = 7;
  config_.cluster.workers = 5;
  Checkpoint(Record(points[1], 2)[1]);
  EXPECT_TRUE(Error().ok()) << Error();
}

}  // namespace
}  // namespace arcshard::cli
