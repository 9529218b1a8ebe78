#include "coordinator/service/reporter.h"

#include "common/base/testing/fake_clock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

class ReporterTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  MetricRegistry registry_;
  CoordinatorMetrics metrics_{&registry_};
  Reporter reporter_{&clock_, &metrics_};
};

TEST_F(ReporterTest, WritesDecisionsAtMostOnceASecondAndEveryChangeOfPhase) {
  Progress progress{.phase = Phase::kTraining, .step = 1, .steps = 100};
  EXPECT_TRUE(reporter_.WorthALine(progress));
  clock_.Advance(absl::Milliseconds(999));
  ++progress.step;
  EXPECT_FALSE(reporter_.WorthALine(progress));
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(reporter_.WorthALine(progress));
  EXPECT_FALSE(reporter_.WorthALine(progress));
  progress.phase = Phase::kEvaluating;
  EXPECT_TRUE(reporter_.WorthALine(progress));
  progress.phase = Phase::kGathering;
  EXPECT_TRUE(reporter_.WorthALine(progress));
  progress.waiting_for = "waiting for 1 of 2 workers";
  EXPECT_TRUE(reporter_.WorthALine(progress));
}

TEST_F(ReporterTest, WritesAFewHundredLinesAnHour) {
  Progress progress{.phase = Phase::kTraining, .step = 1, .steps = 1000000};
  const auto lines_of_an_hour = [&] {
    int lines = 0;
    for (int i = 0; i < 36000; ++i, ++progress.step, clock_.Advance(absl::Milliseconds(100))) {
      if (reporter_.WorthALine(progress)) ++lines;
    }
    return lines;
  };
  EXPECT_LE(lines_of_an_hour(), 660);
  EXPECT_LE(lines_of_an_hour(), 361);
  // Reports that are not about steps, in a verification after the last one.
  progress = {.phase = Phase::kEvaluating, .step = 9, .steps = 9};
  EXPECT_TRUE(reporter_.WorthALine(progress));
  EXPECT_FALSE(reporter_.WorthALine(progress));
}

TEST_F(ReporterTest, AlwaysWritesTheLastStepAndLeavesTheFailureToMain) {
  EXPECT_TRUE(reporter_.WorthALine({.phase = Phase::kTraining, .step = 99, .steps = 100}));
  EXPECT_TRUE(reporter_.WorthALine({.phase = Phase::kTraining, .step = 100, .steps = 100}));
  EXPECT_FALSE(
      reporter_.WorthALine({.phase = Phase::kFailed, .waiting_for = "worker 1 died", .step = 100, .steps = 100}));
}

TEST_F(ReporterTest, CountsStepsByOutcomeAndSamplesOfCommittedOnes) {
  reporter_.StepDecided({1, Outcome::kCommit, 128, absl::Seconds(1)});
  reporter_.StepDecided({2, Outcome::kSkip, 128, absl::Seconds(1)});
  reporter_.StepDecided({3, Outcome::kCommit, 100, absl::Seconds(1)});
  EXPECT_EQ(metrics_.steps.With(kCommitted).Value(), 2.0);
  EXPECT_EQ(metrics_.steps.With(kSkipped).Value(), 1.0);
  EXPECT_EQ(metrics_.samples.Value(), 228.0);
}

TEST_F(ReporterTest, ShowsTheViewAndTheLatestReport) {
  reporter_.ViewFormed({.view = {3, 1}, .num_classes = 9, .shards = {{}, {}}, .workers = {{}}, .standing = {}});
  reporter_.Report({.phase = Phase::kTraining, .step = 5, .steps = 10, .epoch = 0.5, .loss = 3.0, .lr = 0.1});
  EXPECT_EQ(metrics_.incarnation.Value(), 3.0);
  EXPECT_EQ(metrics_.members.With(kShardRole).Value(), 2.0);
  EXPECT_EQ(metrics_.members.With(kWorkerRole).Value(), 1.0);
  EXPECT_EQ(metrics_.loss.Value(), 3.0);
  EXPECT_EQ(metrics_.learning_rate.Value(), 0.1);
  EXPECT_EQ(metrics_.step.Value(), 5.0);
  EXPECT_EQ(metrics_.planned_steps.Value(), 10.0);
  EXPECT_EQ(metrics_.phase.With("training").Value(), 1.0);
  EXPECT_EQ(metrics_.phase.With("waiting").Value(), 0.0);
}

TEST_F(ReporterTest, CountsCheckpointsAndShowsTheNewestThatIsComplete) {
  reporter_.CheckpointSettled({.step = 4, .bytes = 100, .took = absl::Milliseconds(500)});
  clock_.Advance(absl::Seconds(100));
  reporter_.CheckpointSettled(
      {.step = 8, .status = absl::ResourceExhaustedError("the disk is full"), .bytes = 7, .took = absl::Seconds(1)});
  EXPECT_EQ(metrics_.checkpoints.With(kCheckpointComplete).Value(), 1);
  EXPECT_EQ(metrics_.checkpoints.With(kCheckpointFailed).Value(), 1);
  EXPECT_EQ(metrics_.checkpoint_step.Value(), 4);
  EXPECT_EQ(metrics_.checkpoint_bytes.Value(), 100);
  EXPECT_EQ(metrics_.checkpoint_timestamp.Value(), 1700000000);
  EXPECT_EQ(metrics_.checkpoint_duration.Collect().histogram.sample_sum, 0.5);
}

TEST_F(ReporterTest, ShowsAVerificationByItsSets) {
  Progress progress{.phase = Phase::kEvaluating, .step = 5, .steps = 10};
  VerificationReport set;
  set.name = "lfw";
  set.accuracy = 0.875;
  progress.verification = {set};
  progress.verification_step = 5;
  reporter_.Report(progress);
  EXPECT_EQ(metrics_.verification_accuracy.With("lfw").Value(), 0.875);
  EXPECT_EQ(metrics_.phase.With("verifying").Value(), 1.0);
}

}  // namespace
}  // namespace arcshard::coordinator
