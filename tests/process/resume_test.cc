// Runs of real processes that end early, in order or not, and resume from their checkpoints.
#include <csignal>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "cli/checkpoint/take_checkpoint.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "gmock/gmock.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr int kFailed = 1;
constexpr int kUsage = 2;

class ResumeTest : public ProcessTestBase {
 protected:
  // Starts a run and waits until it has decided `steps` steps.
  Training StartTraining(const std::vector<std::string>& arguments, uint64_t steps = 3) const {
    Program launcher = Start("arcshard", arguments);
    launcher.AwaitLine("  step ");
    Listing listing = Listing::Of(Path("run"));
    auto watch = cli::WatchClient::Start(listing.coordinator);
    EXPECT_TRUE(watch.ok()) << watch.status();
    AwaitSteps(watch->get(), steps);
    return {std::move(launcher), std::move(listing), *std::move(watch)};
  }
  std::vector<std::string> Resume(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"train", "--resume", Path("run")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  // Resumes the run, expects that it resumes after `step`, and stops it. Returns the step after which it has ended.
  uint64_t ResumeFrom(uint64_t step, const std::vector<std::string>& more = {}) const {
    Training run = StartTraining(Resume(more));
    const v1::Progress report = AwaitReport(run.watch.get(), [](const v1::Progress&) { return true; });
    EXPECT_EQ(report.resumed_step(), step);
    return Stop(&run);
  }
  // Stops the run in order. Returns the step after which it has ended.
  uint64_t Stop(Training* run) const {
    run->launcher.Signal(SIGINT);
    EXPECT_TRUE(run->launcher.AwaitEnd().ok()) << run->launcher.output();
    const uint64_t step = CheckpointSteps(Path("run")).at(0);
    EXPECT_THAT(run->launcher.output(),
                HasSubstr(absl::StrCat("\nthe newest checkpoint is of step ", step,
                                       "; to resume: arcshard train --resume ", Path("run"), "\n")));
    return step;
  }
  // Leaves a run with checkpoints of two steps. Returns the steps, the newer first.
  std::vector<uint64_t> TakeTwo() const {
    Training first = StartTraining(SmallRun());
    Stop(&first);
    Training second = StartTraining(Resume());
    Stop(&second);
    const std::vector<uint64_t> steps = CheckpointSteps(Path("run"));
    EXPECT_EQ(steps.size(), 2u);
    return steps;
  }
  std::string NewestFolder() const {
    std::string newest;
    for (const auto& entry : std::filesystem::directory_iterator(Path("run/checkpoints"))) {
      newest = std::max(newest, entry.path().string());
    }
    return newest;
  }
};

TEST_F(ResumeTest, ARunThatWasInterruptedResumesWithAnyNumberOfShardsAndWorkers) {
  Training run = StartTraining(SmallRun());
  const uint64_t first = Stop(&run);
  EXPECT_GE(first, 3u);
  const uint64_t second = ResumeFrom(first, {"--shards", "3", "--workers", "1"});
  EXPECT_GT(second, first);
  const uint64_t third = ResumeFrom(second, {"--shards", "1", "--workers", "3", "--set", "schedule.epochs=1001"});
  EXPECT_THAT(CheckpointSteps(Path("run")), ElementsAre(third, second, first));
  std::vector<std::string> model;
  for (const auto& entry : std::filesystem::directory_iterator(Path("run/model"))) {
    model.push_back(entry.path().filename());
  }
  EXPECT_THAT(model, UnorderedElementsAre("backbone.safetensors", "class_centers-0-964.safetensors"));
}

TEST_F(ResumeTest, ARunThatWasKilledResumesFromItsNewestCheckpoint) {
  Training run = StartTraining(SmallRun({"checkpoint.every_steps=2"}));
  const v1::Progress kept =
      AwaitReport(run.watch.get(), [](const v1::Progress& report) { return report.checkpoint_step() >= 4; });
  run.launcher.Signal(SIGKILL);
  run.launcher.AwaitEnd();
  for (const Listing::Entry& process : run.listing.processes) AwaitDeath(process.pid);
  const uint64_t newest = CheckpointSteps(Path("run")).at(0);
  EXPECT_GE(newest, kept.checkpoint_step());
  ResumeFrom(newest);
}

TEST_F(ResumeTest, AfterADeathThatTheRunDoesNotSurviveTheUserIsToldHowToResume) {
  std::vector<std::string> arguments = SmallRun({"checkpoint.every_steps=2"});
  arguments.push_back("--max-restarts=0");
  Training run = StartTraining(arguments);
  AwaitReport(run.watch.get(), [](const v1::Progress& report) { return report.checkpoint_step() > 0; });
  ASSERT_EQ(kill(run.listing.Find("worker", 1).pid, SIGKILL), 0);
  EXPECT_EQ(run.launcher.AwaitEnd(), (cli::ProcessExit{.code = 128 + SIGKILL}));
  EXPECT_THAT(run.launcher.output(), HasSubstr("; to resume: arcshard train --resume " + Path("run") + "\n"));
}

TEST_F(ResumeTest, ACheckpointCanBeAskedFor) {
  Training run = StartTraining(SmallRun());
  const auto taken = cli::TakeCheckpoint(run.listing.coordinator, Security());
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_THAT(CheckpointSteps(Path("run")), ElementsAre(taken->step));
  EXPECT_EQ(taken->folder, CheckpointFolder(Path("run"), {taken->step, 1}));
  Program status = Start("arcshard", {"status", Path("run"), "--timeout", "600"});
  EXPECT_TRUE(status.AwaitEnd().ok());
  EXPECT_THAT(status.output(), HasSubstr(absl::StrCat("\nlast checkpoint: step ", taken->step, ", ")));
  Stop(&run);
}

TEST_F(ResumeTest, ARunThatIsCompleteSaysSoAndEndsInOrder) {
  Program run = Start("arcshard", SmallRun({"schedule.epochs=0.004"}));
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_THAT(CheckpointSteps(Path("run")), ElementsAre(5u));
  std::filesystem::remove_all(Path("run/model"));
  Program again = Start("arcshard", Resume());
  EXPECT_TRUE(again.AwaitEnd().ok()) << again.output();
  EXPECT_THAT(again.output(), HasSubstr("nothing was left to train: all 5 of 5 steps"));
  EXPECT_TRUE(std::filesystem::exists(Path("run/model/backbone.safetensors")));
  Program longer = Start("arcshard", Resume({"--set", "schedule.epochs=0.008"}));
  EXPECT_TRUE(longer.AwaitEnd().ok()) << longer.output();
  EXPECT_THAT(CheckpointSteps(Path("run")), ElementsAre(10u, 5u));
}

TEST_F(ResumeTest, WhatCannotBeResumedIsExplained) {
  EXPECT_EQ(ErrorOf("arcshard", {"train", "--resume", Path("none")}, kFailed),
            Path("none") + ": there is no run to resume: it has no config.yaml");
  EXPECT_THAT(ErrorOf("arcshard", {"train", "run.yaml", "--resume", Path("none")}, kUsage), HasSubstr("--resume"));
  EXPECT_THAT(ErrorOf("arcshard", {"train", "run.yaml", "--allow-older"}, kUsage), HasSubstr("--resume"));
  Program waiting = Start("arcshard", SmallRun());
  waiting.AwaitLine("waiting for");
  waiting.Signal(SIGTERM);
  EXPECT_TRUE(waiting.AwaitEnd().ok());
  EXPECT_THAT(ErrorOf("arcshard", Resume(), kFailed), HasSubstr(Path("run") + " has no complete checkpoint"));
}

TEST_F(ResumeTest, ANewRunInAFolderWithCheckpointsNeedsARestart) {
  Training run = StartTraining(SmallRun());
  const uint64_t step = Stop(&run);
  EXPECT_THAT(ErrorOf("arcshard", SmallRun(), kFailed),
              AllOf(HasSubstr(absl::StrCat("arcshard train --resume ", Path("run"))), HasSubstr("--restart")));
  EXPECT_THAT(ErrorOf("arcshard", Resume({"--set", "data.batch_size=32"}), kFailed),
              HasSubstr("data.batch_size is 32, but was 16"));
  EXPECT_THAT(CheckpointSteps(Path("run")), ElementsAre(step));
  std::vector<std::string> restart = SmallRun({"data.batch_size=32"});
  restart.push_back("--restart");
  Training anew = StartTraining(restart);
  Stop(&anew);
  EXPECT_EQ(CheckpointSteps(Path("run")).size(), 1u);  // its own, which may be of the same step as the former one
  EXPECT_FALSE(std::filesystem::exists(CheckpointFolder(Path("run"), {step, 1})));
  const auto entries = std::filesystem::directory_iterator(Path("run"));
  const auto aside = [](const auto& entry) {
    return entry.path().filename().string().starts_with("checkpoints-before-") &&
           !std::filesystem::is_empty(entry.path());
  };
  EXPECT_EQ(std::count_if(begin(entries), end(entries), aside), 1);
}

TEST_F(ResumeTest, ARunRestartsFromItsOwnWeightsAndResumesWithoutThem) {
  Training run = StartTraining(SmallRun());
  Stop(&run);
  std::filesystem::copy(Path("run/model/backbone.safetensors"), Path("backbone.safetensors"));
  std::filesystem::create_directory_symlink(Path("run"), Path("another-name"));
  std::vector<std::string> restart = SmallRun({"init_from.checkpoint=" + Path("another-name"), "init_from.parts=head",
                                               "backbone.init=" + Path("backbone.safetensors")});
  restart.push_back("--restart");
  Training anew = StartTraining(restart);
  const uint64_t step = Stop(&anew);
  for (const auto& entry : std::filesystem::directory_iterator(Path("run"))) {
    if (entry.path().filename().string().starts_with("checkpoints-before-")) std::filesystem::remove_all(entry);
  }
  std::filesystem::remove(Path("backbone.safetensors"));
  ResumeFrom(step);
}

TEST_F(ResumeTest, ADamagedCheckpointIsNamedAndTheOneBeforeIsTakenOnlyWhereAllowed) {
  const std::vector<uint64_t> steps = TakeTwo();
  ASSERT_EQ(steps.size(), 2u);
  std::string damaged;
  for (const auto& entry : std::filesystem::directory_iterator(NewestFolder())) {
    if (entry.path().filename().string().starts_with("class_centers-")) damaged = entry.path();
  }
  {
    std::fstream file(damaged, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-7, std::ios::end);
    file.put('\x5a');
    file.seekp(-6, std::ios::end);
    file.put('\xa5');
  }
  Program refused = Start("arcshard", Resume());
  EXPECT_EQ(refused.AwaitEnd(), (cli::ProcessExit{.code = kFailed})) << refused.output();
  EXPECT_THAT(refused.output(),
              AllOf(HasSubstr(damaged + ": is damaged"),
                    HasSubstr("to resume from the newest checkpoint that is intact: arcshard train --resume " +
                              Path("run") + " --allow-older\n")));
  EXPECT_THAT(CheckpointSteps(Path("run")), ElementsAre(steps[0], steps[1]));
  ResumeFrom(steps[1], {"--allow-older"});
}

}  // namespace
}  // namespace arcshard
