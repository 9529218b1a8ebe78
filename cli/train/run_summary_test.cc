#include "cli/train/run_summary.h"

#include <filesystem>

#include "common/checkpoint/checkpoint_folder.h"
#include "common/config/load_config.h"
#include "common/io/file.h"
#include "common/io/testing/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

using ::testing::ElementsAre;

class RunSummaryTest : public ::testing::Test {
 protected:
  RunSummaryTest() {
    config_.run.folder = "/runs/a b";
    run_.progress.set_step(7);
    run_.progress.set_steps(10);
    run_.progress.set_epoch(1.4);
    run_.progress.set_epochs(2);
    run_.trained_for = absl::Seconds(65);
    run_.backbone = "/runs/a b/model/backbone.safetensors";
    run_.best_backbone = "/runs/a b/model/best_backbone.safetensors";
  }

  RunConfig config_;
  EndedRun run_;
};

TEST_F(RunSummaryTest, SaysWhatWasTrainedAndWhereTheBackboneIs) {
  run_.interrupted = true;
  const RunSummary summary = Summarize(run_, config_);
  EXPECT_EQ(summary.headline, "stopped in order: trained 7 of 10 steps (1.40 of 2 epochs) in 1m5s");
  EXPECT_THAT(summary.lines, ElementsAre("backbone: /runs/a b/model/backbone.safetensors",
                                         "a page about this run: arcshard report '/runs/a b'"));
}

TEST_F(RunSummaryTest, TheTimeOfAResumedRunIsThatOfItsOwnSteps) {
  run_.progress.set_resumed_step(4);
  EXPECT_EQ(Summarize(run_, config_).headline, "trained 7 of 10 steps (1.40 of 2 epochs), 3 of them in 1m5s");
}

TEST_F(RunSummaryTest, NamesTheBestBackboneOfAnEarlierVerification) {
  config_.verification.keep_best = true;
  run_.progress.set_verification_step(6);
  run_.progress.set_best_step(3);
  run_.progress.set_best_accuracy(0.75);
  EXPECT_THAT(Summarize(run_, config_).lines,
              ::testing::Contains("best of all verifications: /runs/a b/model/best_backbone.safetensors (step 3, "
                                  "accuracy 0.7500)"));
}

TEST_F(RunSummaryTest, SaysHowOftenTheRunHasRecoveredAndWhatItLost) {
  v1::Progress report;
  report.set_recoveries(2);
  run_.recoveries.Take(report);
  EXPECT_THAT(Summarize(run_, config_).lines,
              ElementsAre("recovered 2 times, no step was lost", "backbone: /runs/a b/model/backbone.safetensors",
                          "a page about this run: arcshard report '/runs/a b'"));
  run_.recoveries.BeginLife();
  report.set_recoveries(1);
  report.set_lost_steps(5);
  run_.recoveries.Take(report);
  run_.recoveries.Take(report);
  EXPECT_THAT(Summarize(run_, config_).lines[0], "recovered 3 times, 5 steps were lost");
}

TEST_F(RunSummaryTest, ARunThatHasDecidedNoStepHasNoHeadline) {
  run_.progress.set_resumed_step(7);
  EXPECT_EQ(Summarize(run_, config_).headline, "");
  EXPECT_THAT(Summarize(run_, config_).lines, ElementsAre("stopped before the first step after 7"));
  run_.progress = v1::Progress();
  EXPECT_THAT(Summarize(run_, config_).lines, ElementsAre("stopped before the first step"));
}

TEST_F(RunSummaryTest, ACompleteRunThatIsResumedHasNothingToTrain) {
  run_.progress.set_steps(7);
  run_.progress.set_resumed_step(7);
  EXPECT_TRUE(IsComplete(run_.progress));
  EXPECT_EQ(Summarize(run_, config_).headline,
            "nothing was left to train: all 7 of 7 steps (1.40 of 2 epochs) are done");
}

TEST_F(RunSummaryTest, SaysThatTheLogsWereDeletedMeanwhileHoweverFarTheRunCame) {
  run_.logs_lost = true;
  const std::string sentence = "/runs/a b/logs was deleted or moved during the run: earlier lines are gone";
  EXPECT_THAT(Summarize(run_, config_).lines, ::testing::Contains(sentence));
  run_.progress = v1::Progress();
  EXPECT_THAT(Summarize(run_, config_).lines, ElementsAre("stopped before the first step", sentence));
}

TEST(WhatIsLostTest, IsTheModelOfARunThatHasEndedInOrderAndDoesNotHaveIt) {
  MemoryFileSystem files;
  const std::string backbone = "/run/model/backbone.safetensors";
  v1::Progress progress;
  progress.set_steps(10);
  progress.set_phase(v1::Progress::PHASE_FINISHED);
  EXPECT_EQ(WhatIsLost(&files, progress, backbone),
            "the run ended in order, but /run/model/backbone.safetensors is not there: was run.folder deleted or moved "
            "meanwhile?");

  ASSERT_TRUE(files.CreateFolders("/run/model").ok());
  ASSERT_TRUE(files.Create(backbone).ok());
  EXPECT_EQ(WhatIsLost(&files, progress, backbone), "");
}

TEST(WhatIsLostTest, IsNothingIfTheRunHadNoModelToWrite) {
  MemoryFileSystem files;
  v1::Progress progress;
  progress.set_phase(v1::Progress::PHASE_FINISHED);  // stopped before the training was planned
  EXPECT_EQ(WhatIsLost(&files, progress, "/run/model/backbone.safetensors"), "");
  progress.set_steps(10);
  progress.set_phase(v1::Progress::PHASE_FAILED);
  EXPECT_EQ(WhatIsLost(&files, progress, "/run/model/backbone.safetensors"), "");
}

TEST(HowToResumeTest, NamesTheNewestCheckpointAndTheCommandOfTheCause) {
  std::string folder = ::testing::TempDir() + "run_summary_test_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  EXPECT_EQ(HowToResume(RealFileSystem(), folder, FailureCause::kOther), "");
  for (const uint64_t step : {5u, 12u}) {
    const std::string checkpoint = CheckpointFolder(folder, {step, 1});
    std::filesystem::create_directories(checkpoint);
    Manifest manifest;
    manifest.step = step;
    ASSERT_TRUE(WriteManifest(RealFileSystem(), checkpoint, manifest).ok());
  }
  EXPECT_EQ(HowToResume(RealFileSystem(), folder, FailureCause::kOther), "")
      << "without config.yaml it would be refused";
  ASSERT_TRUE(WriteFileAtomically(folder + "/config.yaml", "").ok());
  EXPECT_EQ(HowToResume(RealFileSystem(), folder, FailureCause::kOther),
            "the newest checkpoint is of step 12; to resume: arcshard train --resume " + folder);
  EXPECT_EQ(
      HowToResume(RealFileSystem(), folder, FailureCause::kCheckpointUnreadable),
      "to resume from the newest checkpoint that is intact: arcshard train --resume " + folder + " --allow-older");
  std::filesystem::remove_all(folder);
}

TEST(ChangesSinceCheckpointTest, AreThoseOfTheNewestCheckpointsConfiguration) {
  std::string folder = ::testing::TempDir() + "run_summary_test_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  RunConfig config;
  config.run.folder = folder;
  config.data.train = "/data";
  config.data.batch_size = 64;
  EXPECT_THAT(ChangesSinceCheckpoint(RealFileSystem(), config), ::testing::IsEmpty());
  for (const uint64_t step : {5u, 12u}) {
    const std::string checkpoint = CheckpointFolder(folder, {step, 1});
    std::filesystem::create_directories(checkpoint);
    Manifest manifest;
    manifest.step = step;
    manifest.config_yaml = ToYaml(config);
    ASSERT_TRUE(WriteManifest(RealFileSystem(), checkpoint, manifest).ok());
    config.schedule.epochs = 40;
  }
  EXPECT_THAT(ChangesSinceCheckpoint(RealFileSystem(), config), ::testing::IsEmpty());
  config.schedule.lr = 0.5;
  EXPECT_THAT(ChangesSinceCheckpoint(RealFileSystem(), config),
              ElementsAre(::testing::StartsWith("changed since the checkpoint of step 12: schedule.lr is 0.5, was ")));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace arcshard::cli
