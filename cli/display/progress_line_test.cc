#include "cli/display/progress_line.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kWide = 1000;

v1::Progress Training() {
  v1::Progress progress;
  progress.set_phase(v1::Progress::PHASE_TRAINING);
  progress.set_step(412);
  progress.set_steps(1560);
  progress.set_epoch(3.2);
  progress.set_epochs(12);
  progress.set_loss(4.81234);
  progress.set_target_cosine(0.4211);
  progress.set_lr(0.08123);
  progress.set_samples_per_second(1530.4);
  progress.set_eta_seconds(65.9);
  return progress;
}

v1::Progress InPhase(v1::Progress::Phase phase, const std::string& waiting_for = "") {
  v1::Progress progress;
  progress.set_phase(phase);
  progress.set_waiting_for(waiting_for);
  progress.set_step(7);
  return progress;
}

TEST(ProgressLineTest, TrainingTellsEverything) {
  EXPECT_EQ(ProgressLine(Training(), kWide),
            "epoch 3.20/12  step 412/1560  loss 4.8123  cos 0.421  lr 0.08123  1530 samples/s  ETA 1m5s");
}

TEST(ProgressLineTest, TroubleIsCounted) {
  v1::Progress progress = Training();
  progress.set_skipped(2);
  progress.set_corrupt_records(3);
  EXPECT_THAT(ProgressLine(progress, kWide), ::testing::EndsWith("  ETA 1m5s  2 skipped  3 corrupt records"));
}

TEST(ProgressLineTest, RecoveriesAreCountedAndTheStepsThatTheyCost) {
  v1::Progress progress = Training();
  progress.set_recoveries(1);
  EXPECT_THAT(ProgressLine(progress, kWide), ::testing::EndsWith("  ETA 1m5s  recovered once"));
  progress.set_recoveries(3);
  progress.set_lost_steps(12);
  EXPECT_THAT(ProgressLine(progress, kWide), ::testing::EndsWith("  ETA 1m5s  recovered 3 times  12 steps lost"));
}

TEST(ProgressLineTest, ARecoverySaysWhatWasLostAndWhatIsMissing) {
  EXPECT_EQ(ProgressLine(InPhase(v1::Progress::PHASE_RECOVERING), kWide), "recovering");
  EXPECT_EQ(ProgressLine(InPhase(v1::Progress::PHASE_RECOVERING,
                                 "shard 1 (pid 5 on vm) was lost at step 7: stream broken; waiting for 1 of 2 shards"),
                         kWide),
            "recovering: shard 1 (pid 5 on vm) was lost at step 7: stream broken; waiting for 1 of 2 shards");
  EXPECT_EQ(ProgressLine(InPhase(v1::Progress::PHASE_RECOVERING, "a\nb"), 13), "recovering: a");
  EXPECT_EQ(ProgressWithBar(InPhase(v1::Progress::PHASE_RECOVERING, "ab"), kWide, false), "recovering: ab");
}

TEST(ProgressLineTest, RecoveriesInWords) {
  EXPECT_EQ(DescribeRecoveries(1, 0), "recovered once, no step was lost");
  EXPECT_EQ(DescribeRecoveries(2, 1), "recovered 2 times, 1 step was lost");
  EXPECT_EQ(DescribeRecoveries(2, 30), "recovered 2 times, 30 steps were lost");
}

TEST(ProgressLineTest, SmallNumbersAreShownAsTheyAre) {
  v1::Progress progress = Training();
  progress.set_samples_per_second(0.42);
  progress.set_epoch(0.007);
  progress.set_epochs(0.007);
  EXPECT_THAT(ProgressLine(progress, kWide), ::testing::StartsWith("epoch 0.00700/0.007  "));
  EXPECT_THAT(ProgressLine(progress, kWide), ::testing::HasSubstr("  0.42 samples/s  "));
}

TEST(ProgressLineTest, AVerificationTellsHowFarItIs) {
  v1::Progress progress = InPhase(v1::Progress::PHASE_EVALUATING);
  progress.set_verified_images(1200);
  progress.set_images_to_verify(12000);
  progress.set_eta_seconds(65.9);
  EXPECT_EQ(ProgressLine(progress, kWide), "verifying after step 7  1200 of 12000 images  ETA 1m5s");
  EXPECT_EQ(ProgressLine(progress, 45), "verifying after step 7  1200 of 12000 images");
}

TEST(ProgressLineTest, ACheckOfTheVerificationSetsTellsHowFarItIs) {
  v1::Progress progress = InPhase(v1::Progress::PHASE_JOINING, "waiting for worker 0 to join");
  EXPECT_EQ(ProgressLine(progress, kWide), "waiting for worker 0 to join");
  progress.set_verified_images(1200);
  progress.set_images_to_verify(12000);
  EXPECT_EQ(ProgressLine(progress, kWide), "checking the verification sets  1200 of 12000 images");
}

TEST(ProgressLineTest, BeforeTheFirstStepThereIsNoLoss) {
  v1::Progress progress;
  progress.set_phase(v1::Progress::PHASE_TRAINING);
  progress.set_steps(1560);
  progress.set_epochs(0.5);
  EXPECT_EQ(ProgressLine(progress, kWide), "epoch 0.000/0.5  step 0/1560");
}

TEST(ProgressLineTest, ANarrowLineKeepsWhatMattersMost) {
  EXPECT_EQ(ProgressLine(Training(), 80),
            "epoch 3.20/12  step 412/1560  loss 4.8123  cos 0.421  1530 samples/s  ETA 1m5s");
  EXPECT_EQ(ProgressLine(Training(), 52), "epoch 3.20/12  step 412/1560  loss 4.8123  ETA 1m5s");
  EXPECT_EQ(ProgressLine(Training(), 20), "step 412/1560");
  EXPECT_EQ(ProgressLine(Training(), 6), "step 4");
  EXPECT_EQ(ProgressLine(Training(), 0), "");
}

TEST(ProgressLineTest, NoWidthIsExceeded) {
  for (size_t width = 0; width <= 120; ++width) EXPECT_LE(ProgressLine(Training(), width).size(), width);
}

TEST(ProgressLineTest, ACutLeavesNoHalfCharacter) {
  EXPECT_EQ(ProgressLine(InPhase(v1::Progress::PHASE_GATHERING, "ab±c"), 2), "ab");
  EXPECT_EQ(ProgressLine(InPhase(v1::Progress::PHASE_GATHERING, "ab±c"), 3), "ab±");
}

TEST(ProgressLineTest, ABarStandsBeforeItWhereThereIsRoom) {
  const std::string line = ProgressLine(Training(), kWide);  // 412 of 1560 steps
  const size_t bar_and_percent = 8 + 7;
  EXPECT_EQ(ProgressWithBar(Training(), line.size() + bar_and_percent - 1, false), line);
  EXPECT_EQ(ProgressWithBar(Training(), line.size() + bar_and_percent, false), "━━────── " + (" 26%  " + line));
  EXPECT_EQ(ProgressWithBar(Training(), kWide, false), "━━━━━━────────────────── " + (" 26%  " + line));
  EXPECT_EQ(ProgressWithBar(InPhase(v1::Progress::PHASE_EVALUATING), kWide, false), "verifying after step 7");
}

TEST(ProgressLineTest, OtherPhasesSayWhatIsWaitedFor) {
  EXPECT_EQ(ProgressLine(InPhase(v1::Progress::PHASE_GATHERING, "waiting for 2 of 3 shards"), kWide),
            "waiting for 2 of 3 shards");
  EXPECT_EQ(ProgressLine(InPhase(v1::Progress::PHASE_JOINING), kWide), "joining");
  EXPECT_EQ(ProgressLine(InPhase(v1::Progress::PHASE_EVALUATING), kWide), "verifying after step 7");
  EXPECT_EQ(ProgressLine(InPhase(v1::Progress::PHASE_STOPPING), kWide), "writing model and checkpoint after step 7");
  EXPECT_EQ(ProgressLine(InPhase(v1::Progress::PHASE_FINISHED), kWide), "finished after step 7");
  EXPECT_EQ(ProgressLine(InPhase(v1::Progress::PHASE_FAILED, "worker 1 died"), kWide), "failed: worker 1 died");
}

v1::Progress Verified(int sets) {
  v1::Progress progress = Training();
  progress.set_verification_step(400);
  for (int i = 0; i < sets; ++i) {
    v1::Verification* set = progress.add_verification();
    set->set_name(i == 0 ? "unseen_alphabets" : "lfw");
    set->set_accuracy(0.93124);
    set->set_std(0.01);
    set->set_threshold(1.234);
    set->set_pairs(6000);
    set->set_xnorm(22.1);
    set->set_overall_accuracy(0.9325);
    set->set_overall_threshold(1.2314);
  }
  return progress;
}

TEST(ProgressLineTest, AVerifiedSetHasALineOfTheFoldsAndOneOfAllPairs) {
  EXPECT_THAT(VerificationLines(Training()), IsEmpty());
  EXPECT_THAT(
      VerificationLines(Verified(1)),
      ElementsAre("step 400 unseen_alphabets: accuracy 0.9312 ± 0.0100 (threshold 1.23, xnorm 22.10, 6000 pairs)",
                  "  all pairs: accuracy 0.9325 (threshold 1.231)"));
}

TEST(ProgressLineTest, TheBestSoFarIsCalledThat) {
  v1::Progress progress = Verified(1);
  progress.set_best_accuracy(0.93124);
  progress.set_best_step(400);
  EXPECT_THAT(VerificationLines(progress)[0], ::testing::EndsWith("6000 pairs), best so far"));
  progress.set_best_step(300);
  EXPECT_THAT(VerificationLines(progress)[0], ::testing::EndsWith("6000 pairs)"));
}

TEST(ProgressLineTest, OfSeveralSetsTheMeanDecidesWhatIsBest) {
  v1::Progress progress = Verified(2);
  EXPECT_THAT(VerificationLines(progress), ::testing::SizeIs(4));
  progress.set_best_accuracy(0.9051);
  progress.set_best_step(400);
  ASSERT_THAT(VerificationLines(progress), ::testing::SizeIs(5));
  EXPECT_THAT(VerificationLines(progress)[0], ::testing::EndsWith("6000 pairs)"));
  EXPECT_EQ(VerificationLines(progress)[4], "step 400: mean accuracy 0.9051 over 2 sets, best so far");
}

TEST(ProgressLineTest, DurationsAreWholeSeconds) {
  EXPECT_EQ(WholeSeconds(absl::Seconds(245.7)), "4m5s");
  EXPECT_EQ(WholeSeconds(absl::Milliseconds(300)), "0s");
}

}  // namespace
}  // namespace arcshard::cli
