#include <string>
#include <vector>

#include "coordinator/run/run.h"
#include "coordinator/run/testing/run_test_fixture.h"
#include "gmock/gmock.h"

// When a run's checkpoints are due, which members owe a part, and how a run resumes from one.
namespace arcshard::coordinator {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RunCheckpointTest : public RunTest {
 protected:
  // Votes for the steps `from` to `to`. Returns those whose decision asked for a checkpoint.
  std::vector<uint64_t> Steps(uint64_t from, uint64_t to) {
    std::vector<uint64_t> asked;
    for (uint64_t step = from; step <= to; ++step) {
      Vote(step);
      if (LastDecision().next.checkpoint) asked.push_back(step);
    }
    return asked;
  }
  // The run resumes from a checkpoint of step 13, made in incarnation 6.
  void ResumeFrom13() {
    Manifest manifest;
    manifest.step = 13;
    manifest.lineage = 1313;
    manifest.incarnation = 6;
    manifest.num_classes = 9;
    manifest.embedding_size = 512;
    manifest.data = {100, 9, 42};
    manifest.created = "2026-11-24T07:00:00Z";
    manifest.epoch = 1.3;
    manifest.skipped = 4;
    manifest.skips_in_a_row = 2;
    manifest.corrupt_records = 5;
    manifest.corrupt_in_epoch = 1;
    manifest.best.accuracy = 0.9;
    manifest.best.step = 10;
    options_.resume = ResumePoint{"/runs/a/checkpoints/step-00000013.6", manifest};
  }
  CheckpointAnswer Into(std::vector<absl::StatusOr<CheckpointTaken>>* answers) {
    return [answers](const absl::StatusOr<CheckpointTaken>& taken) { answers->push_back(taken); };
  }
  void FailCheckpoint(uint64_t step) {
    ReportCheckpoint(kShard0, step, absl::ResourceExhaustedError("class_centers: No space left on device"));
    ReportCheckpoint(kShard1, step);
    ReportCheckpoint(kWorker0, step);
  }
};

TEST_F(RunCheckpointTest, AreDueEveryStepsAndAskedForWithoutAWait) {
  options_.config.checkpoint.every_steps = 4;
  Begin();
  EXPECT_FALSE(LastNext().checkpoint);  // there is nothing to keep of step 0
  EXPECT_THAT(Steps(1, 5), ElementsAre(4u));
  for (const Connection connection : Everybody()) {
    EXPECT_EQ(Received<Decision>(connection)[3].next, (Next{NextAction::kStep, StepPlan{5, 0, 40, {5, 5}}, true}));
  }
  EXPECT_EQ(LastProgress().checkpoint_step, 0u);
  CompleteCheckpoint(4);
  EXPECT_EQ(LastProgress().checkpoint_step, 4u);
  EXPECT_THAT(Steps(6, 9), ElementsAre(8u));
}

TEST_F(RunCheckpointTest, ADueOneWaitsUntilTheOneInProgressIsComplete) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  EXPECT_THAT(Steps(1, 5), ElementsAre(2u));
  ReportCheckpoints(2);
  EXPECT_THAT(Steps(6, 6), IsEmpty());  // its manifest is not there yet
  run().CheckpointKept(2, absl::OkStatus());
  EXPECT_THAT(Steps(7, 9), ElementsAre(7u));
  CompleteCheckpoint(7);
  EXPECT_THAT(Steps(10, 10), ElementsAre(10u));
}

TEST_F(RunCheckpointTest, AreDueByTheClockFromTheLastThatWasAskedFor) {
  options_.config.checkpoint.every_minutes = 10;
  clock_.Advance(absl::Hours(1));  // waiting for members does not count
  Begin();
  EXPECT_THAT(Steps(1, 1), IsEmpty());
  LetPass(absl::Minutes(10));
  EXPECT_THAT(Steps(2, 3), ElementsAre(2u));
  LetPass(absl::Minutes(9));
  CompleteCheckpoint(2);
  EXPECT_THAT(Steps(4, 4), IsEmpty());
  LetPass(absl::Minutes(1));
  EXPECT_THAT(Steps(5, 6), ElementsAre(5u));
}

TEST_F(RunCheckpointTest, AreDueAtTheirTimeAlthoughTheDateIsSet) {
  options_.config.checkpoint.every_minutes = 10;
  Begin();
  clock_.SetForward(absl::Hours(1));
  EXPECT_THAT(Steps(1, 1), IsEmpty());
  clock_.SetBack(absl::Hours(24));
  LetPass(absl::Minutes(10));
  EXPECT_THAT(Steps(2, 3), ElementsAre(2u));
  clock_.SetBack(absl::Hours(24));
  LetPass(absl::Seconds(30));
  CompleteCheckpoint(2);
  EXPECT_EQ(sink_.checkpoints.at(0).took, absl::Seconds(30));
  LetPass(absl::Seconds(5));
  EXPECT_EQ(run().Status().checkpoint_age, absl::Seconds(5));
}

TEST_F(RunCheckpointTest, TheOneItResumesFromIsAsOldAsItsDateSays) {
  ResumeFrom13();
  const absl::Time made = absl::FromCivil(absl::CivilSecond(2026, 11, 24, 7, 0, 0), absl::UTCTimeZone());
  clock_.SetForward(made + absl::Hours(2) - clock_.WallTime());
  EXPECT_EQ(run().Status().checkpoint_age, absl::Hours(2));
}

TEST_F(RunCheckpointTest, OneThatWasMadeAfterThePresentDateIsOfThisMoment) {
  ResumeFrom13();  // the clock is set to 2023
  run();
  clock_.Advance(absl::Seconds(3));
  EXPECT_EQ(run().Status().checkpoint_age, absl::Seconds(3));
}

TEST_F(RunCheckpointTest, AreTakenDuringALongEvaluationToo) {
  options_.config.verification.sets = {"omniglot.bin"};
  options_.config.verification.every_epochs = 0.2;  // every second step
  options_.config.checkpoint.every_minutes = 10;
  Begin();
  Vote(1);
  Vote(2);
  EXPECT_EQ(LastDecision().next, (Next{NextAction::kEvaluate, {}, false}));
  LetPass(absl::Minutes(10));
  for (const Connection connection : Everybody()) {
    ASSERT_EQ(Received<Proceed>(connection).size(), 1u);
    EXPECT_EQ(Received<Proceed>(connection)[0].next, (Next{NextAction::kEvaluate, {}, true}));
  }
  EXPECT_EQ(LastProgress().phase, Phase::kEvaluating);
  CompleteCheckpoint(2);
  EXPECT_EQ(LastProgress().checkpoint_step, 2u);
  LetPass(absl::Minutes(30));
  EXPECT_EQ(Received<Proceed>(kShard0).size(), 1u) << "nothing has changed since";
  run().Receive(kWorker0, EvaluationReport{kView, {}});
  EXPECT_EQ(Received<Proceed>(kShard0).back().next.plan.step, 3u);
}

TEST_F(RunCheckpointTest, OneThatIsRequestedDuringAnEvaluationIsTakenAtOnce) {
  options_.config.verification.sets = {"omniglot.bin"};
  options_.config.verification.every_epochs = 0.1;
  Begin();
  Vote(1);
  absl::StatusOr<CheckpointTaken> taken = absl::UnknownError("no answer yet");
  run().TakeCheckpoint([&taken](const absl::StatusOr<CheckpointTaken>& answer) { taken = answer; });
  EXPECT_EQ(Received<Proceed>(kWorker0).back().next, (Next{NextAction::kEvaluate, {}, true}));
  CompleteCheckpoint(1);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->step, 1u);
}

TEST_F(RunCheckpointTest, TheManifestHoldsWhatTheCoordinatorKnows) {
  options_.config.checkpoint.every_steps = 3;
  options_.version = "1.2.3";
  Begin();
  Vote(1);
  Vote(2);
  VoteWithNan(3);
  clock_.Advance(absl::Seconds(5));
  Vote(4);
  ReportCheckpoint(kWorker0, 3);
  ReportCheckpoint(kShard1, 3);
  EXPECT_THAT(keeper_.manifests, IsEmpty());
  ReportCheckpoint(kShard0, 3);
  ASSERT_THAT(keeper_.manifests, SizeIs(1));
  EXPECT_THAT(keeper_.folders, ElementsAre("/runs/a/checkpoints/step-00000003.7"));
  Manifest expected;
  expected.step = 3;
  expected.lineage = Received<Decision>(kShard0).at(2).lineage;
  expected.incarnation = 7;
  expected.view_counter = 1;
  expected.num_classes = 9;
  expected.embedding_size = 512;
  expected.data = {100, 9, 42};
  expected.config_yaml = "run: {}";
  expected.version = "1.2.3";
  expected.created = keeper_.manifests[0].created;
  expected.epoch = 0.3;
  expected.skipped = 1;
  expected.skips_in_a_row = 1;
  expected.files = {FileOf(kWorker0), FileOf(kShard1), FileOf(kShard0)};
  EXPECT_EQ(keeper_.manifests[0], expected);
  absl::Time created;
  std::string error;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, expected.created, &created, &error)) << expected.created << error;
  clock_.Advance(absl::Seconds(2));
  run().CheckpointKept(3, absl::OkStatus());
  ASSERT_THAT(sink_.checkpoints, SizeIs(1));
  EXPECT_EQ(sink_.checkpoints[0].step, 3u);
  EXPECT_EQ(sink_.checkpoints[0].bytes, kWorker0 + kShard1 + kShard0);
  EXPECT_EQ(sink_.checkpoints[0].took, absl::Seconds(7));
}

TEST_F(RunCheckpointTest, OneThatFailedHarmsNobodyAndWarnsOncePerStreak) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  CompleteCheckpoint(2);
  Steps(3, 4);
  ReportCheckpoint(kShard0, 4, absl::ResourceExhaustedError("class_centers: No space left on device"));
  EXPECT_THAT(keeper_.abandoned, IsEmpty());  // the others still write
  ReportCheckpoint(kShard1, 4);
  ReportCheckpoint(kWorker0, 4);
  EXPECT_THAT(keeper_.abandoned, ElementsAre("/runs/a/checkpoints/step-00000004.7"));
  const std::string warning =
      "warning: the checkpoint of step 4 failed: shard 0 (pid 1010 on h): class_centers: No space left on device; "
      "training continues, and the newest complete one is /runs/a/checkpoints/step-00000002.7";
  EXPECT_EQ(sink_.notes.back(), warning);
  EXPECT_EQ(LastProgress().checkpoint_failure,
            "step 4: shard 0 (pid 1010 on h): class_centers: No space left on device");
  EXPECT_EQ(LastProgress().checkpoint_step, 2u);
  EXPECT_THAT(Steps(5, 6), ElementsAre(6u));
  ReportCheckpoints(6);
  run().CheckpointKept(6, absl::ResourceExhaustedError("manifest.json: No space left on device"));
  EXPECT_EQ(sink_.notes.back(), warning);
  EXPECT_EQ(LastProgress().checkpoint_failure, "step 6: manifest.json: No space left on device");
  EXPECT_THAT(Steps(7, 8), ElementsAre(8u));
  CompleteCheckpoint(8);
  EXPECT_THAT(sink_.notes.back(), AllOf(HasSubstr("of step 8 is complete"), HasSubstr("after 2 that failed")));
  EXPECT_EQ(LastProgress().checkpoint_failure, "");
  EXPECT_EQ(LastProgress().checkpoint_step, 8u);
  ASSERT_THAT(sink_.checkpoints, SizeIs(4));
  EXPECT_FALSE(sink_.checkpoints[1].status.ok());
  EXPECT_FALSE(sink_.checkpoints[2].status.ok());
}

TEST_F(RunCheckpointTest, EverybodyLearnsHowOneEndsAndSupersededOnesGoOnlyAfterACompleteOne) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  FailCheckpoint(2);
  Steps(3, 4);
  ReportCheckpoints(4);
  EXPECT_EQ(keeper_.deletions, 0);
  run().CheckpointKept(4, absl::OkStatus());
  EXPECT_EQ(keeper_.deletions, 1);
  const std::vector<Decision> decisions = Received<Decision>(kWorker1);
  for (const Connection connection : Everybody()) {
    EXPECT_THAT(Received<CheckpointSettled>(connection), ElementsAre(CheckpointSettled{decisions[1].after(), false},
                                                                     CheckpointSettled{decisions[3].after(), true}));
  }
}

TEST_F(RunCheckpointTest, OneThatALogWantsIsNotTriedAgainAtOnceOnADiskThatStaysFull) {
  Begin();
  const auto vote_for_one = [this](uint64_t step) {
    for (const Connection connection : Everybody()) {
      ReadyVote vote = VoteFor(step);
      vote.wants_checkpoint = connection == kShard0;
      run().Receive(connection, vote);
    }
    return LastNext().checkpoint;
  };
  EXPECT_TRUE(vote_for_one(1));
  FailCheckpoint(1);
  EXPECT_FALSE(vote_for_one(2));
  LetPass(absl::Minutes(1));
  EXPECT_TRUE(vote_for_one(3));
}

TEST_F(RunCheckpointTest, AReportThatNobodyAskedForEndsTheRun) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  ReportCheckpoint(kWorker1, 2);
  EXPECT_THAT(Sentence(),
              HasSubstr("worker 1 (pid 1021 on h): reported a checkpoint of step 2, which it was not asked for"));
}

TEST_F(RunCheckpointTest, ASecondReportOrAnothersFileEndsTheRun) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  ReportCheckpoint(kShard0, 2);
  run().Receive(kShard1, CheckpointReport{.view = kView, .step = 2, .files = {FileOf(kShard0)}});
  EXPECT_THAT(Sentence(), HasSubstr("shard 1 (pid 1011 on h): names part-10"));
}

TEST_F(RunCheckpointTest, TheRunEndsOnlyWhenTheLastOneIsComplete) {
  Begin();
  EXPECT_THAT(Steps(1, 20), ElementsAre(20u));
  ReportCheckpoints(20);
  FinishAll();
  EXPECT_FALSE(run().result().has_value());
  EXPECT_EQ(LastProgress().waiting_for, "waiting for the checkpoint of step 20");
  run().CheckpointKept(20, absl::OkStatus());
  ASSERT_TRUE(run().result().has_value());
  EXPECT_TRUE(run().result()->ok());
  EXPECT_EQ(LastProgress().checkpoint_step, 20u);
}

TEST_F(RunCheckpointTest, WhoFinishesWithoutItsReportEndsTheRun) {
  Begin();
  Steps(1, 20);
  run().Receive(kShard0, FinishedReport{});
  EXPECT_THAT(Sentence(),
              HasSubstr("shard 0 (pid 1010 on h): has sent Finished without its report about a checkpoint"));
}

TEST_F(RunCheckpointTest, AStopWaitsForASlowDiskAsLongAsAllAreHeard) {
  options_.stop_timeout = absl::Seconds(30);
  Begin();
  run().RequestStop();
  Vote(1);
  LetPass(absl::Minutes(20));
  ReportCheckpoints(1);
  LetPass(absl::Minutes(20));  // its manifest is not there yet
  EXPECT_EQ(Sentence(), "(still running)");
  run().CheckpointKept(1, absl::OkStatus());
  LetPass(absl::Seconds(29));
  EXPECT_EQ(Sentence(), "(still running)");
  LetPass(absl::Seconds(1));
  EXPECT_THAT(Sentence(), HasSubstr("gave up after 30s, still waiting for shard 0"));
}

TEST_F(RunCheckpointTest, AStopAsksForASecondOneWhileOneIsInProgress) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  EXPECT_THAT(Steps(1, 3), ElementsAre(2u));
  run().RequestStop();
  Vote(4);
  EXPECT_EQ(LastDecision().next, (Next{NextAction::kStop, {}, true}));
  ReportCheckpoints(2);
  ReportCheckpoints(4);
  FinishAll();
  run().CheckpointKept(2, absl::OkStatus());
  EXPECT_EQ(keeper_.deletions, 0) << "the keeper may have completed that of step 4, and members restore that of step 2";
  EXPECT_FALSE(run().result().has_value());
  run().CheckpointKept(4, absl::OkStatus());
  EXPECT_EQ(keeper_.deletions, 1);
  ASSERT_TRUE(run().result().has_value());
  EXPECT_TRUE(run().result()->ok());
}

TEST_F(RunCheckpointTest, AStopAfterAStepThatHasOneAsksForNoSecondOne) {
  options_.config.checkpoint.every_steps = 2;
  options_.config.verification.sets = {"omniglot.bin"};
  options_.config.verification.every_epochs = 0.2;
  Begin();
  EXPECT_THAT(Steps(1, 2), ElementsAre(2u));
  run().RequestStop();
  run().Receive(kWorker0, EvaluationReport{kView, {}});
  EXPECT_EQ(Received<Proceed>(kShard0).back().next, (Next{NextAction::kStop, {}}));
}

TEST_F(RunCheckpointTest, ARunWhoseLastCheckpointFailedHasFailedOnceAllHaveFinished) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  CompleteCheckpoint(2);
  run().RequestStop();
  Vote(3);
  FailCheckpoint(3);
  EXPECT_FALSE(run().result().has_value());
  FinishAll();
  ASSERT_TRUE(run().result().has_value());
  EXPECT_EQ(run().result()->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(
      Sentence(),
      "the run has ended after step 3, but its last checkpoint failed: shard 0 (pid 1010 on h): class_centers: No "
      "space left on device; the newest complete one is /runs/a/checkpoints/step-00000002.7");
  for (const Connection connection : Everybody()) EXPECT_TRUE(outbox_.closed.at(connection).ok());
}

TEST_F(RunCheckpointTest, OneThatIsRequestedIsOfTheStepInProgress) {
  std::vector<absl::StatusOr<CheckpointTaken>> answers;
  run().TakeCheckpoint(Into(&answers));
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].status(), absl::FailedPreconditionError("no checkpoint can be taken before the run began"));
  Begin();
  Vote(1);
  run().TakeCheckpoint(Into(&answers));
  EXPECT_THAT(Steps(2, 3), ElementsAre(2u));
  run().TakeCheckpoint(Into(&answers));  // too late for that one
  ASSERT_THAT(answers, SizeIs(1));
  CompleteCheckpoint(2);
  ASSERT_THAT(answers, SizeIs(2));
  ASSERT_TRUE(answers[1].ok());
  EXPECT_EQ(answers[1]->step, 2u);
  EXPECT_EQ(answers[1]->folder, "/runs/a/checkpoints/step-00000002.7");
  EXPECT_THAT(Steps(4, 5), ElementsAre(4u));
  FailCheckpoint(4);
  ASSERT_THAT(answers, SizeIs(3));
  EXPECT_EQ(answers[2].status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Steps(6, 7), IsEmpty());
}

TEST_F(RunCheckpointTest, WhoWaitsForOneHearsOfTheRunsEnd) {
  std::vector<absl::StatusOr<CheckpointTaken>> answers;
  Begin();
  run().TakeCheckpoint(Into(&answers));
  Vote(1);
  run().Receive(kShard0, FailureReport{"no memory", static_cast<int>(absl::StatusCode::kResourceExhausted)});
  run().TakeCheckpoint(Into(&answers));
  ASSERT_THAT(answers, SizeIs(2));
  for (const auto& answer : answers) {
    EXPECT_EQ(answer.status(), absl::AbortedError("shard 0 (pid 1010 on h): no memory"));
  }
}

TEST_F(RunCheckpointTest, GoesOnAfterTheStepOfACheckpoint) {
  ResumeFrom13();
  options_.config.checkpoint.every_steps = 4;
  EXPECT_EQ(run().Status().progress.step, 13u);
  EXPECT_EQ(LastProgress().resumed_step, 13u);
  EXPECT_EQ(LastProgress().checkpoint_step, 13u);
  EXPECT_EQ(LastProgress().best_step, 10u);
  Begin();
  const ViewAnnouncement view = Received<ViewAnnouncement>(kWorker0).at(0);
  EXPECT_EQ(view.state, (StatePoint{13, 1313}));
  EXPECT_EQ(view.base, view.state);
  EXPECT_EQ(view.last, std::nullopt);
  EXPECT_EQ(view.checkpoint, "/runs/a/checkpoints/step-00000013.6");
  for (const Connection connection : Everybody()) {
    const Install install = Received<Install>(connection).at(0);
    EXPECT_EQ(install.next, (Next{NextAction::kStep, StepPlan{14, 1, 30, {5, 5}}}));
    EXPECT_EQ(install.counters, CountersOf(options_.resume->manifest));
  }
  EXPECT_THAT(Steps(14, 17), ElementsAre(16u));
  EXPECT_EQ(LastProgress().step, 17u);
  EXPECT_EQ(LastProgress().skipped, 4u);
  EXPECT_DOUBLE_EQ(LastProgress().epoch, 1.7);
  ReportCheckpoints(16);
  ASSERT_THAT(keeper_.manifests, SizeIs(1));
  EXPECT_EQ(keeper_.manifests[0].corrupt_records, 5u);
  EXPECT_EQ(keeper_.manifests[0].corrupt_in_epoch, 1u);
  EXPECT_EQ(keeper_.manifests[0].best.accuracy, 0.9);
  EXPECT_EQ(keeper_.manifests[0].skips_in_a_row, 0u);
}

TEST_F(RunCheckpointTest, SkipsBeforeTheCheckpointCount) {
  ResumeFrom13();
  Begin();
  VoteWithNan(14);  // the third in a row
  EXPECT_THAT(Sentence(), HasSubstr("3 steps in a row were not finite (run.max_skips), step 14"));
}

TEST_F(RunCheckpointTest, ACompleteRunStopsAtOnceAndSaysSo) {
  ResumeFrom13();
  options_.config.schedule.epochs = 1.3;
  Begin();
  EXPECT_EQ(LastNext(), (Next{NextAction::kStop, {}}));
  EXPECT_THAT(sink_.notes, ::testing::Contains(HasSubstr("all 13 steps are done")));
  FinishAll();
  EXPECT_TRUE(run().result()->ok());
}

TEST_F(RunCheckpointTest, AShorterRunCannotGoOn) {
  ResumeFrom13();
  options_.config.schedule.epochs = 1;
  RegisterAll();
  ReportData();
  EXPECT_EQ(Sentence(),
            "the run cannot resume: /runs/a/checkpoints/step-00000013.6 is of step 13, but with schedule.epochs 1 the "
            "run has only 10 steps");
}

TEST_F(RunCheckpointTest, OtherDataCannotBeGoneOnWith) {
  ResumeFrom13();
  options_.resume->manifest.data.fingerprint = 43;
  RegisterAll();
  ReportData();
  EXPECT_EQ(run().result()->code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Sentence(), AllOf(HasSubstr("data.train is not what it was"), HasSubstr("step-00000013.6")));
}

TEST_F(RunCheckpointTest, AnotherNumberOfClassesOrSamplesCannotBeGoneOnWith) {
  ResumeFrom13();
  options_.resume->manifest.num_classes = 10;
  RegisterAll();
  ReportData();
  EXPECT_THAT(Sentence(), HasSubstr("data.train has 9 classes (head.classes), but had 10 when"));
}

TEST_F(RunCheckpointTest, WhoCannotReadTheCheckpointIsToldOfOlderOnes) {
  ResumeFrom13();
  RegisterAll();
  ReportData();
  run().Receive(kShard1,
                FailureReport::Of(BlameCheckpoint(absl::DataLossError(
                    "/runs/a/checkpoints/step-00000013.6/class_centers-4-9.safetensors: block 0 is damaged"))));
  EXPECT_EQ(Sentence(),
            "shard 1 (pid 1011 on h): /runs/a/checkpoints/step-00000013.6/class_centers-4-9.safetensors: block 0 is "
            "damaged; --allow-older resumes from the newest checkpoint that is whole");
  EXPECT_EQ(DetailsOf(*run().result()), (FailureDetails{FailureCause::kCheckpointUnreadable, 1011}));
}

TEST_F(RunCheckpointTest, AnErrorThatOnlyNamesTheCheckpointIsNotTakenForItsDamage) {
  ResumeFrom13();
  RegisterAll();
  ReportData();
  run().Receive(kShard1,
                FailureReport::Of(absl::DataLossError("init.safetensors: not of /runs/a/checkpoints/step-00000013.6")));
  EXPECT_THAT(Sentence(), Not(HasSubstr("--allow-older")));
  EXPECT_EQ(DetailsOf(*run().result()), (FailureDetails{FailureCause::kOther, 1011}));
}

}  // namespace
}  // namespace arcshard::coordinator
