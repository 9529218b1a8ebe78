#include "coordinator/progress/progress.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(Throughput, IsSamplesOverTimeOfTheLastSteps) {
  Throughput throughput;
  MonotonicTime now = MonotonicTime() + absl::Seconds(1000);
  throughput.Resume(now);
  EXPECT_EQ(throughput.samples_per_second(), 0.0);
  for (int step = 0; step < 100; ++step) {
    now += absl::Seconds(step < 50 ? 10 : 2);  // the slow half has left the window
    throughput.StepDone(now, 128);
  }
  EXPECT_DOUBLE_EQ(throughput.samples_per_second(), 64.0);
  EXPECT_EQ(throughput.step_duration(), absl::Seconds(2));
}

TEST(Throughput, DoesNotCountAnEvaluation) {
  Throughput throughput;
  const MonotonicTime start = MonotonicTime() + absl::Seconds(1000);
  throughput.Resume(start);
  throughput.StepDone(start + absl::Seconds(1), 100);
  throughput.Resume(start + absl::Seconds(61));
  throughput.StepDone(start + absl::Seconds(62), 100);
  EXPECT_DOUBLE_EQ(throughput.samples_per_second(), 100.0);
}

TEST(DescribeProgress, OfTrainingIsOneLineWithWhatIsKnown) {
  Progress progress{.phase = Phase::kTraining, .step = 0, .steps = 100, .epochs = 12};
  EXPECT_EQ(DescribeProgress(progress), "epoch 0.00/12  step 0/100");
  progress.step = 17;
  progress.epoch = 2.04;
  progress.loss = 3.14159;
  progress.target_cosine = 0.5;
  progress.lr = 0.1;
  progress.samples_per_second = 1234.4;
  progress.eta_seconds = 65.7;
  EXPECT_EQ(DescribeProgress(progress),
            "epoch 2.04/12  step 17/100  loss 3.1416  cos 0.500  lr 0.1  1234 samples/s  eta 1m5s");
  EXPECT_THAT(DescribeProgress(progress), Not(HasSubstr("skipped")));
  progress.skipped = 2;
  progress.corrupt_records = 3;
  EXPECT_THAT(DescribeProgress(progress), HasSubstr("skipped 2  corrupt records 3"));
}

TEST(DescribeProgress, ShowsSmallNumbersAsTheyAre) {
  const Progress progress{
      .phase = Phase::kTraining, .step = 2, .steps = 3, .epoch = 0.0046, .epochs = 0.007, .samples_per_second = 0.42};
  EXPECT_THAT(DescribeProgress(progress), StartsWith("epoch 0.00460/0.007  step 2/3  "));
  EXPECT_THAT(DescribeProgress(progress), HasSubstr("  0.42 samples/s  "));
}

TEST(DescribeProgress, OfTheOtherPhasesSaysWhatIsAwaited) {
  EXPECT_EQ(DescribeProgress({.phase = Phase::kGathering, .waiting_for = "waiting for 1 of 2 shards"}),
            "gathering: waiting for 1 of 2 shards");
  EXPECT_EQ(DescribeProgress({.phase = Phase::kJoining, .waiting_for = "waiting for worker 0 to join"}),
            "joining: waiting for worker 0 to join");
  EXPECT_EQ(DescribeProgress({.phase = Phase::kRecovering, .waiting_for = "shard 1 was lost", .step = 17}),
            "recovering after step 17: shard 1 was lost");
  EXPECT_EQ(DescribeProgress({.phase = Phase::kEvaluating, .step = 17}), "evaluating after step 17");
  EXPECT_EQ(DescribeProgress({.phase = Phase::kFinished, .step = 9, .steps = 10}), "finished after step 9 of 10");
  EXPECT_EQ(DescribeProgress({.phase = Phase::kFinished}), "stopped before the run began");
  EXPECT_EQ(DescribeProgress({.phase = Phase::kFailed, .waiting_for = "worker 1 died"}), "failed: worker 1 died");
}

TEST(DescribeProgress, TellsHowManyImagesAreCheckedOrVerified) {
  EXPECT_EQ(DescribeProgress({.phase = Phase::kJoining,
                              .waiting_for = "waiting for worker 0 to join",
                              .verified_images = 120,
                              .images_to_verify = 300}),
            "joining: waiting for worker 0 to join; checking the verification sets, 120 of 300 images");
  EXPECT_EQ(
      DescribeProgress({.phase = Phase::kEvaluating, .step = 17, .verified_images = 120, .images_to_verify = 300}),
      "evaluating after step 17: 120 of 300 images");
}

TEST(VerificationTimesTest, AreEstimatedUntilOneWasMeasured) {
  VerificationTimes times;
  const MonotonicTime now;
  EXPECT_EQ(times.Expected(300, 0.0), absl::ZeroDuration());
  EXPECT_EQ(times.Expected(300, 10.0), absl::Seconds(20));
  times.Begin(now);
  const absl::Duration one = absl::Seconds(20);
  EXPECT_EQ(times.Left(now + absl::Seconds(5), 0, 0, one), absl::Seconds(15));
  EXPECT_EQ(times.Left(now + absl::Seconds(50), 0, 300, one), absl::ZeroDuration());
  EXPECT_EQ(times.Left(now + absl::Seconds(50), 100, 300, one), absl::Seconds(100));
  EXPECT_EQ(times.Left(now + absl::Seconds(50), 300, 300, one), absl::ZeroDuration());
  times.End(now + absl::Seconds(150));
  EXPECT_EQ(times.Expected(300, 10.0), absl::Seconds(150));
}

}  // namespace
}  // namespace arcshard::coordinator
