#include <string>
#include <vector>

#include "common/base/failure_details.h"
#include "common/protocol/lineage.h"
#include "coordinator/run/run.h"
#include "coordinator/run/testing/run_test_fixture.h"
#include "gmock/gmock.h"

// How a run survives the loss of members: who takes their places, from which state it goes on, and what it says.
namespace arcshard::coordinator {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RunRecoveryTest : public RunTest {
 protected:
  // Processes that come later: connection 12 is a shard, 22 and 23 are workers.
  static constexpr Connection kShard2 = 12, kWorker2 = 22, kWorker3 = 23;

  void Steps(uint64_t from, uint64_t to) {
    for (uint64_t step = from; step <= to; ++step) Vote(step);
  }
  ShardMember ShardOf(uint32_t id) const { return Announced().shards.at(id); }
  // `connections` are told of the newest view.
  void ExpectInView(const std::vector<Connection>& connections) {
    EXPECT_EQ(Members(), connections);
    EXPECT_EQ(Announced().shards.size() + Announced().workers.size(), connections.size());
  }
  // Somebody takes the place of shard 1, which is lost; the run, which is to stop, ends in order with a checkpoint.
  void ReplaceShard1AndStopAfterStep1() {
    Register(kShard2);
    Join();
    EXPECT_EQ(LastNext(), (Next{NextAction::kStop, {}, true}));
    for (const Connection connection : {kShard0, kShard2, kWorker0}) ReportCheckpoint(connection, 1);
    run().CheckpointKept(1, absl::OkStatus());
    FinishAll();
    EXPECT_TRUE(run().result()->ok()) << *run().result();
  }
};

// --- What a loss leads to

TEST_F(RunRecoveryTest, ALossVoidsTheStepAndWhoeverTakesThePlaceCompletesTheNextView) {
  Begin();
  Vote(1);
  run().Receive(kShard0, VoteFor(2));
  run().Receive(kWorker0, VoteFor(2));
  clock_.Advance(absl::Seconds(1));
  Die(kWorker1);
  EXPECT_EQ(LastProgress().phase, Phase::kRecovering);
  EXPECT_EQ(LastProgress().losses, "worker 1 (pid 1021 on h) was lost at step 2: stream broken");
  EXPECT_EQ(LastProgress().waiting_for, "waiting for 1 of 2 workers");
  run().Receive(kShard1, VoteFor(2));  // it crossed the loss
  EXPECT_FALSE(run().result().has_value());

  clock_.Advance(absl::Seconds(2));
  Register(kWorker2);
  const Decision first = LastDecision();
  const ViewAnnouncement view = Announced();
  EXPECT_EQ(view.view, (View{7, 2}));
  EXPECT_EQ(view.state, first.after());
  EXPECT_EQ(view.last, first);
  EXPECT_EQ(view.base, StatePoint());
  EXPECT_EQ(view.checkpoint, "");
  for (const ShardMember& shard : view.shards) EXPECT_TRUE(shard.holds && shard.has_log) << shard.id;
  EXPECT_TRUE(view.workers.at(0).holds);
  EXPECT_FALSE(view.workers.at(1).holds);
  EXPECT_EQ(view.workers.at(1).rendezvous, "h:22");
  ExpectInView({kShard0, kShard1, kWorker0, kWorker2});
  EXPECT_EQ(LastProgress().phase, Phase::kRecovering);

  clock_.Advance(absl::Seconds(1));
  Join();
  for (const Connection connection : Members()) {
    EXPECT_EQ(Received<Install>(connection).back(),
              (Install{{7, 2}, {NextAction::kStep, StepPlan{2, 0, 10, {5, 5}}}, first.counters}));
  }
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
  ASSERT_THAT(sink_.recoveries, SizeIs(1));
  EXPECT_EQ(sink_.recoveries[0].took, absl::Seconds(3));
  EXPECT_EQ(sink_.recoveries[0].step, 1u);
  ASSERT_THAT(sink_.recoveries[0].lost, SizeIs(1));
  EXPECT_EQ(sink_.recoveries[0].lost[0].role, LostRole::kWorker);
  EXPECT_EQ(LastProgress().recoveries, 1u);
  EXPECT_EQ(LastProgress().last_recovery, sink_.recoveries[0].sentence);
  EXPECT_EQ(run().Status().last_recovery->sentence, sink_.recoveries[0].sentence);

  EXPECT_THAT(Received<Decision>(kShard0), SizeIs(1)) << "the votes of the view before are void";
  Vote(2);
  EXPECT_EQ(LastDecision().view, (View{7, 2}));
  EXPECT_EQ(LastDecision().lineage, ExtendLineage(first.lineage, LastDecision()));
}

TEST_F(RunRecoveryTest, ALossInAnyPhaseOfAViewLeadsToAnother) {
  options_.config.verification.sets = {"omniglot.bin"};
  options_.config.verification.every_epochs = 0.1;
  const std::vector<std::string> when = {"at step 1", "during the evaluation after step 1",
                                         "while stopping after step 1"};
  for (size_t phase = 0; phase < when.size(); ++phase) {
    Begin();
    if (phase >= 1) Vote(1);
    if (phase >= 2) run().RequestStop();
    Die(kShard1);
    EXPECT_FALSE(run().result().has_value()) << when[phase];
    EXPECT_TRUE(IsNoted("shard 1 (pid 1011 on h) was lost " + when[phase] + ": stream broken")) << when[phase];
    Register(kShard2);
    Join();
    const NextAction next = phase == 0 ? NextAction::kStep : phase == 1 ? NextAction::kEvaluate : NextAction::kStop;
    EXPECT_EQ(LastNext().action, next) << when[phase];
    Restart();
  }
}

TEST_F(RunRecoveryTest, AShardIsRebuiltWithTheLogOfAnother) {
  Begin();
  Steps(1, 3);
  EXPECT_TRUE(LastProgress().recoverable);
  Die(kShard1);
  EXPECT_FALSE(LastProgress().recoverable);
  Register(kShard2);
  EXPECT_TRUE(ShardOf(0).holds && ShardOf(0).has_log);
  EXPECT_FALSE(ShardOf(1).holds || ShardOf(1).has_log);
  EXPECT_EQ(ShardOf(1).address, "h:12");
  EXPECT_EQ(Announced().state, LastDecision().after());
  for (const Connection connection : Members()) {
    JoinedReport joined = JoinedView();
    if (connection == kShard2) {
      joined.replayed_steps = 3;
      joined.rebuilt_in_seconds = 1.5;
    }
    run().Receive(connection, joined);
  }
  EXPECT_EQ(sink_.recoveries.at(0).replayed_steps, 3u);
  EXPECT_THAT(sink_.recoveries.at(0).sentence, HasSubstr("shard 1 (pid 1012 on h) has replayed 3 steps in 1.5s"));
  EXPECT_TRUE(LastProgress().recoverable);
  EXPECT_EQ(LastProgress().lost_steps, 0u);
  // It can help another one from now on.
  Die(kShard0);
  Register(13);
  EXPECT_TRUE(ShardOf(1).holds && ShardOf(1).has_log);
  EXPECT_FALSE(ShardOf(0).holds);
}

TEST_F(RunRecoveryTest, TwoShardsAtOnceAreRebuiltWithTheLogOfTheThird) {
  options_.config.cluster.shards = 3;
  Begin();
  Steps(1, 2);
  Die(kShard0);
  Die(kShard1);
  Register(13);
  EXPECT_EQ(LastProgress().phase, Phase::kRecovering);
  EXPECT_THAT(LastProgress().waiting_for, HasSubstr("waiting for 1 of 3 shards"));
  Register(14);
  EXPECT_TRUE(ShardOf(2).has_log);
  EXPECT_EQ(Announced().state, LastDecision().after());
  Join();
  EXPECT_EQ(sink_.recoveries.at(0).lost.size(), 2u);
  EXPECT_EQ(LastProgress().lost_steps, 0u);
}

TEST_F(RunRecoveryTest, RangesStayWhatTheyWere) {
  Begin();
  const ClassRange range = ShardOf(1).range;
  Die(kShard1);
  Registration big = RegistrationOf(kShard2);
  big.capacity_bytes *= 8;
  Register(kShard2, big);
  EXPECT_EQ(ShardOf(1).range, range);
}

TEST_F(RunRecoveryTest, AShardThatIsTooSmallForTheLostRangeIsRefused) {
  Begin();
  Die(kShard1);
  Registration small = RegistrationOf(kShard2);
  small.capacity_bytes = 100;
  Register(kShard2, small);
  EXPECT_TRUE(absl::IsResourceExhausted(outbox_.closed.at(kShard2)));
  EXPECT_THAT(std::string(outbox_.closed.at(kShard2).message()),
              HasSubstr("shard 1 (pid 1012 on h) would hold classes [4, 9)"));
  Register(13);
  Join();
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
}

// --- Whom the run waits for

TEST_F(RunRecoveryTest, AWorkerThatHasFallenSilentIsWaitedForFromItsLastSignOfLife) {
  Begin();
  Vote(1);
  LetPass(absl::Milliseconds(8500), kWorker1);
  EXPECT_TRUE(absl::IsUnavailable(outbox_.closed.at(kWorker1)));
  EXPECT_EQ(CurrentView(), (View{7, 1}));
  LetPass(absl::Milliseconds(500));
  ExpectInView({kShard0, kShard1, kWorker0});
}

TEST_F(RunRecoveryTest, GoesOnWithoutAWorkerThatDoesNotComeBackAndLetsItInLater) {
  Begin();
  Vote(1);
  Die(kWorker1);
  const absl::Duration grace = options_.config.cluster.rejoin_grace;
  LetPass(grace - absl::Seconds(1));
  EXPECT_EQ(CurrentView(), (View{7, 1}));
  LetPass(absl::Seconds(1));
  ExpectInView({kShard0, kShard1, kWorker0});
  Join();
  Vote(2);
  EXPECT_EQ(LastDecision().step, 2u);
  EXPECT_EQ(LastProgress().recoveries, 1u);

  Register(kWorker2);
  EXPECT_EQ(CurrentView(), (View{7, 2})) << "the step in progress is not thrown away";
  Vote(3);
  EXPECT_EQ(CurrentView(), (View{7, 3}));
  EXPECT_EQ(Announced().state, LastDecision().after());
  ExpectInView({kShard0, kShard1, kWorker0, kWorker2});
  EXPECT_FALSE(Announced().workers.at(1).holds);
  Join();
  Vote(4);
  EXPECT_EQ(LastDecision(kWorker2).step, 4u);
  EXPECT_EQ(LastProgress().recoveries, 1u) << "nothing was lost";
}

TEST_F(RunRecoveryTest, AWorkerThatWasLeftOutIsNotWaitedForAgain) {
  Begin();
  Die(kWorker1);
  LetPass(absl::Seconds(10));
  Join();
  Die(kShard1);
  Register(kShard2);
  ExpectInView({kShard0, kShard2, kWorker0});
}

TEST_F(RunRecoveryTest, AWorkerThatIsToBeLetInAndIsInErrorHarmsOnlyItself) {
  Begin();
  Die(kWorker1);
  LetPass(absl::Seconds(10));
  Join();
  run().Receive(kWorker2, RegistrationOf(kWorker2));
  run().Receive(kWorker2, DatasetReport{101, 9, 42});
  EXPECT_TRUE(absl::IsInvalidArgument(outbox_.closed.at(kWorker2)));
  EXPECT_THAT(std::string(outbox_.closed.at(kWorker2).message()), HasSubstr("the run has 100, worker 1"));
  Register(kWorker3);
  run().Receive(kWorker3, LeavingReport{"SIGTERM"});
  EXPECT_TRUE(absl::IsAborted(outbox_.closed.at(kWorker3)));
  Vote(1);
  EXPECT_EQ(LastNext().action, NextAction::kStep);
  EXPECT_EQ(CurrentView(), (View{7, 2}));
}

TEST_F(RunRecoveryTest, WaitsForAShardUntilTheRejoinTimeoutAndThenNamesWhatToResumeFrom) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  CompleteCheckpoint(2);
  Die(kShard1);
  LetPass(absl::Minutes(9));
  EXPECT_EQ(Sentence(), "(still running)");
  LetPass(absl::Minutes(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(*run().result()));
  EXPECT_EQ(Sentence(),
            "gave up after 10m (cluster.rejoin_timeout), still waiting for 1 of 2 shards; shard 1 (pid 1011 on h) was "
            "lost at step 3: stream broken; the run can be resumed from /runs/a/checkpoints/step-00000002.7");
  EXPECT_EQ(outbox_.closed.at(kWorker0), absl::AbortedError(Sentence()));
}

TEST_F(RunRecoveryTest, WaitsForAnyWorkerAsLongWhenTheLastOneIsLost) {
  options_.config.cluster.workers = 1;
  Begin();
  Die(kWorker0);
  LetPass(absl::Minutes(10));
  EXPECT_THAT(Sentence(),
              AllOf(HasSubstr("still waiting for 1 of 1 worker"), EndsWith("there is no checkpoint to resume from")));
}

TEST_F(RunRecoveryTest, ALongReadOfTheDataIsNotLimitedByTheRejoinTimeout) {
  options_.config.cluster.workers = 1;
  Begin();
  Die(kWorker0);
  run().Receive(kWorker2, RegistrationOf(kWorker2));
  LetPass(absl::Minutes(30));
  EXPECT_EQ(Sentence(), "(still running)");
}

// --- Rollbacks

TEST_F(RunRecoveryTest, TheLossOfTheOnlyShardRollsEverybodyBackToTheLastCheckpoint) {
  options_.config.cluster.shards = 1;
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Vote(1);
  Vote(2);
  CompleteCheckpoint(2);
  VoteWithNan(3);
  const Decision second = Received<Decision>(kWorker0).at(1);
  EXPECT_FALSE(LastProgress().recoverable);
  Die(kShard0);
  Register(kShard2);
  EXPECT_EQ(Announced().state, second.after());
  EXPECT_EQ(Announced().base, second.after());
  EXPECT_EQ(Announced().checkpoint, "/runs/a/checkpoints/step-00000002.7");
  EXPECT_EQ(Announced().last, std::nullopt);
  for (const WorkerMember& worker : Announced().workers) EXPECT_FALSE(worker.holds);
  const std::string sentence =
      "the run goes back from step 3 to step 2, the checkpoint /runs/a/checkpoints/step-00000002.7, and 1 step is "
      "lost, because no shard holds the state after step 3";
  EXPECT_TRUE(IsNoted(sentence));
  Join();
  EXPECT_EQ(LastProgress().step, 2u);
  EXPECT_EQ(LastProgress().lost_steps, 1u);
  EXPECT_EQ(LastProgress().skipped, 0u) << "the counters are the checkpoint's";
  EXPECT_DOUBLE_EQ(LastProgress().epoch, 0.2);
  EXPECT_EQ(sink_.recoveries.at(0).lost_steps, 1u);
  EXPECT_THAT(sink_.recoveries.at(0).sentence, HasSubstr(sentence));
  EXPECT_EQ(LastNext().plan.step, 3u);
  Vote(3);
  EXPECT_EQ(LastDecision().lineage, ExtendLineage(second.lineage, LastDecision()));
  Vote(4);
  EXPECT_TRUE(LastNext().checkpoint);
}

TEST_F(RunRecoveryTest, TheLossOfTheOnlyWorkerBeforeACheckpointRollsEverybodyBackToTheFirstWeights) {
  options_.config.cluster.workers = 1;
  Begin();
  Steps(1, 3);
  Die(kWorker0);
  Register(kWorker2);
  EXPECT_EQ(Announced().state, StatePoint());
  EXPECT_EQ(Announced().checkpoint, "");
  EXPECT_TRUE(
      IsNoted("the run goes back from step 3 to step 0, the first weights, and 3 steps are lost, because no "
              "worker holds the state after step 3"));
  Join();
  EXPECT_EQ(LastNext(kWorker2).plan.step, 1u);
}

TEST_F(RunRecoveryTest, TheOnlyWorkerThatComesBackItselfLosesNothing) {
  options_.config.cluster.workers = 1;
  Begin();
  Steps(1, 3);
  Die(kWorker0);
  Register(kWorker2, Again(kWorker0));
  EXPECT_EQ(Announced().state.step, 3u);
  EXPECT_TRUE(Announced().workers.at(0).holds);
}

TEST_F(RunRecoveryTest, ALogThatWasDroppedCostsTheStepsSinceTheCheckpoint) {
  Begin();
  Vote(1);
  for (const Connection connection : Everybody()) {
    ReadyVote vote = VoteFor(2);
    vote.log_is_dropped = connection == kShard0;
    run().Receive(connection, vote);
  }
  EXPECT_FALSE(LastProgress().recoverable);
  Die(kShard1);
  Register(kShard2);
  EXPECT_EQ(Announced().state, StatePoint());
  EXPECT_EQ(LastProgress().lost_steps, 2u);
}

TEST_F(RunRecoveryTest, ARollbackWaitsForACheckpointInProgressWhichMayBeNewer) {
  options_.config.cluster.shards = 1;
  options_.config.cluster.workers = 1;
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  ReportCheckpoint(kShard0, 2);
  Vote(3);
  Die(kShard0);
  Register(kShard2);
  EXPECT_EQ(LastProgress().losses, "shard 0 (pid 1010 on h) was lost at step 4: stream broken");
  EXPECT_EQ(LastProgress().waiting_for, "waiting for the checkpoint of step 2");
  ReportCheckpoint(kWorker0, 2);
  EXPECT_EQ(CurrentView(), (View{7, 1}));
  run().CheckpointKept(2, absl::OkStatus());
  LetPass(absl::Milliseconds(500));
  EXPECT_EQ(CurrentView(), (View{7, 2}));
  EXPECT_EQ(Announced().state.step, 2u);
  EXPECT_EQ(LastProgress().lost_steps, 1u);
}

TEST_F(RunRecoveryTest, ARollbackDoesNotWaitForACheckpointThatHasFailedWhichIsAbandonedOnceNobodyWritesIt) {
  options_.config.cluster.shards = 1;
  options_.config.cluster.workers = 1;
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 3);
  const View asked = CurrentView();
  Die(kShard0);  // it owed a part of the checkpoint of step 2
  Register(kShard2);
  EXPECT_EQ(CurrentView(), (View{7, 2}));
  EXPECT_EQ(Announced().state, StatePoint());
  EXPECT_EQ(LastProgress().lost_steps, 3u);
  EXPECT_THAT(keeper_.abandoned, IsEmpty()) << "the worker still writes";
  Join();
  run().Receive(kWorker0, CheckpointReport{.view = asked, .step = 2, .files = {FileOf(kWorker0)}});
  EXPECT_THAT(keeper_.abandoned, ElementsAre("/runs/a/checkpoints/step-00000002.7"));
  EXPECT_EQ(LastProgress().checkpoint_failure, "step 2: shard 0 (pid 1010 on h) was lost before it wrote its part");
  Vote(1);
  EXPECT_FALSE(LastNext().checkpoint);
  Vote(2);
  EXPECT_TRUE(LastNext().checkpoint);
  for (const Connection connection : {kShard2, kWorker0}) ReportCheckpoint(connection, 2);
  EXPECT_THAT(keeper_.folders, ElementsAre("/runs/a/checkpoints/step-00000002.7.2"));
}

TEST_F(RunRecoveryTest, WhoComesBackAfterARollbackIsRolledBackToo) {
  options_.config.cluster.workers = 1;
  Begin();
  Steps(1, 3);
  Die(kWorker0);
  const Registration late = Again(kWorker0);
  Register(kWorker2);  // and the rollback begins
  Die(kWorker2);
  Register(kWorker3, late);
  EXPECT_EQ(Announced().state, StatePoint());
  EXPECT_FALSE(Announced().workers.at(0).holds);
  EXPECT_EQ(LastProgress().lost_steps, 3u);
}

// --- Checkpoints

TEST_F(RunRecoveryTest, ACheckpointInProgressFailsWithAMemberThatOwesAPartAndIsTakenAgain) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  const View asked = CurrentView();
  ReportCheckpoint(kShard0, 2);
  Die(kShard1);
  EXPECT_THAT(keeper_.abandoned, IsEmpty()) << "the worker still writes";
  run().Receive(kWorker0, CheckpointReport{.view = asked, .step = 2, .files = {FileOf(kWorker0)}});
  EXPECT_THAT(keeper_.abandoned, ElementsAre("/runs/a/checkpoints/step-00000002.7"));
  EXPECT_EQ(LastProgress().checkpoint_failure, "step 2: shard 1 (pid 1011 on h) was lost before it wrote its part");
  Register(kShard2);
  Join();
  EXPECT_TRUE(LastNext().checkpoint);
  for (const Connection connection : {kShard0, kShard2, kWorker0}) ReportCheckpoint(connection, 2);
  EXPECT_THAT(keeper_.folders, ElementsAre("/runs/a/checkpoints/step-00000002.7.2"));
}

TEST_F(RunRecoveryTest, ACheckpointInProgressGoesOnOverTheLossOfAMemberThatOwesNothing) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  const View asked = CurrentView();
  const auto report = [&](Connection from) {
    run().Receive(from, CheckpointReport{.view = asked, .step = 2, .files = {FileOf(from)}});
  };
  report(kShard1);
  Die(kWorker1);
  report(kWorker0);
  Register(kWorker2);
  report(kShard0);
  EXPECT_THAT(keeper_.folders, ElementsAre("/runs/a/checkpoints/step-00000002.7"));
  EXPECT_EQ(Sentence(), "(still running)");
}

TEST_F(RunRecoveryTest, TheLateReportOfAMemberThatWasLostComesToNothing) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  const View asked = CurrentView();
  Die(kShard1);
  Register(kShard2, Again(kShard1));
  run().Receive(kShard2, CheckpointReport{.view = asked, .step = 2, .files = {FileOf(kShard1)}});
  EXPECT_EQ(Sentence(), "(still running)");
  EXPECT_FALSE(outbox_.closed.contains(kShard2));
}

TEST_F(RunRecoveryTest, ACheckpointThatBecomesCompleteWhileMembersJoinTakesEffectOnceTheyHave) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  ReportCheckpoints(2);
  Die(kWorker1);
  Register(kWorker2);
  run().CheckpointKept(2, absl::OkStatus());
  EXPECT_EQ(keeper_.deletions, 0) << "somebody may be restoring the base before";
  EXPECT_THAT(Received<CheckpointSettled>(kShard0), IsEmpty()) << "somebody may replay from there";
  EXPECT_EQ(LastProgress().checkpoint_step, 0u);
  Join();
  EXPECT_EQ(keeper_.deletions, 1);
  EXPECT_THAT(Received<CheckpointSettled>(kShard0), SizeIs(1));
  EXPECT_EQ(LastProgress().checkpoint_step, 2u);
}

TEST_F(RunRecoveryTest, TheBaseThatSomebodyRestoresStaysAlsoWhenTheViewLosesOthers) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  CompleteCheckpoint(2);
  EXPECT_EQ(keeper_.deletions, 1);
  Steps(3, 4);
  ReportCheckpoints(4);
  Die(kShard1);
  Register(kShard2);  // and restores the checkpoint of step 2
  run().CheckpointKept(4, absl::OkStatus());
  Die(kWorker1);
  LetPass(absl::Seconds(1));
  EXPECT_EQ(keeper_.deletions, 1);
  Register(kWorker2);
  EXPECT_EQ(CurrentView(), (View{7, 3}));
  EXPECT_EQ(Announced().base.step, 2u);
  EXPECT_EQ(keeper_.deletions, 1);
  Join();
  EXPECT_EQ(keeper_.deletions, 2);
  EXPECT_EQ(LastProgress().checkpoint_step, 4u);
}

TEST_F(RunRecoveryTest, OnceNobodyRestoresItTheBaseIsReplacedWhileTheRunWaits) {
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  CompleteCheckpoint(2);
  Steps(3, 4);
  ReportCheckpoints(4);
  Die(kShard1);
  Register(kShard2);
  run().CheckpointKept(4, absl::OkStatus());
  Die(kShard2);
  LetPass(absl::Milliseconds(500));
  EXPECT_EQ(LastProgress().phase, Phase::kRecovering);
  EXPECT_EQ(keeper_.deletions, 2);
  Register(13);
  EXPECT_EQ(Announced().base.step, 4u);
}

TEST_F(RunRecoveryTest, ARollbackGoesToACheckpointThatBecameCompleteWhileSomebodyRestoredTheOneBefore) {
  options_.config.cluster.workers = 1;
  options_.config.checkpoint.every_steps = 2;
  Begin();
  Steps(1, 2);
  CompleteCheckpoint(2);
  Steps(3, 4);
  ReportCheckpoints(4);
  Vote(5);
  Die(kShard1);
  Register(kShard2);  // and restores the checkpoint of step 2
  run().CheckpointKept(4, absl::OkStatus());
  Die(kWorker0);
  Register(kWorker2);
  EXPECT_EQ(Announced().state.step, 4u);
  EXPECT_EQ(Announced().base.step, 4u);
  EXPECT_EQ(LastProgress().lost_steps, 1u);
  EXPECT_EQ(keeper_.deletions, 1) << "the shard may still be reading the one before";
  Join();
  EXPECT_EQ(keeper_.deletions, 2);
}

TEST_F(RunRecoveryTest, ACheckpointThatIsRequestedMeanwhileIsTakenOnceTheRunGoesOn) {
  Begin();
  Vote(1);
  Die(kWorker1);
  std::vector<absl::StatusOr<CheckpointTaken>> answers;
  run().TakeCheckpoint([&](const absl::StatusOr<CheckpointTaken>& taken) { answers.push_back(taken); });
  EXPECT_THAT(answers, IsEmpty());
  Register(kWorker2);
  Join();
  EXPECT_TRUE(LastNext().checkpoint);
  CompleteCheckpoint(1);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0]->step, 1u);
}

// --- Evaluations and counters

TEST_F(RunRecoveryTest, AnEvaluationIsRepeatedUnlessItHadEnded) {
  BeginEvaluating();
  const View before = CurrentView();
  Die(kShard1);
  run().Receive(kWorker0, EvaluationReport{before, {{"omniglot", 0.9}}});  // it crossed the loss
  Register(kShard2);
  Join();
  EXPECT_EQ(LastNext().action, NextAction::kEvaluate);
  run().Receive(kWorker0, EvaluationReport{before, {{"omniglot", 0.9}}});
  EXPECT_EQ(LastProgress().phase, Phase::kEvaluating);
  run().Receive(kWorker0, EvaluationReport{CurrentView(), {{"omniglot", 0.8}}});
  EXPECT_EQ(LastProgress().best_accuracy, 0.8);
  EXPECT_EQ(Received<Proceed>(kShard0).back().counters.verified_step, 1u);
  Die(kShard2);
  Register(13);
  Join();
  EXPECT_EQ(LastNext(), (Next{NextAction::kStep, StepPlan{2, 0, 10, {5, 5}}}));
  EXPECT_EQ(Received<Install>(kShard0).back().counters.best.accuracy, 0.8);
}

TEST_F(RunRecoveryTest, SkipsInARowAreCountedOverALoss) {
  Begin();
  VoteWithNan(1);
  VoteWithNan(2);
  Die(kShard1);
  Register(kShard2);
  Join();
  EXPECT_EQ(Received<Install>(kShard0).back().counters.skips_in_a_row, 2u);
  VoteWithNan(3);
  EXPECT_THAT(Sentence(), HasSubstr("3 steps in a row were not finite (run.max_skips), step 3"));
}

// --- Further losses

TEST_F(RunRecoveryTest, ALossWhileMembersJoinLeadsToAFurtherView) {
  Begin();
  Steps(1, 2);
  Die(kShard1);
  Register(kShard2);
  run().Receive(kShard0, JoinedView());
  const JoinedReport rebuilt = JoinedView();
  Die(kWorker1);
  EXPECT_THAT(LastProgress().losses, HasSubstr("worker 1 (pid 1021 on h) was lost while recovering after step 2"));
  run().Receive(kShard2, rebuilt);  // it goes on rebuilding, and is done now
  Register(kWorker2);
  EXPECT_EQ(CurrentView(), (View{7, 3}));
  EXPECT_EQ(Announced().state, LastDecision().after());
  EXPECT_TRUE(ShardOf(1).holds && ShardOf(1).has_log);
  run().Receive(kShard2, rebuilt);  // of an older view
  EXPECT_THAT(Received<Install>(kShard0), SizeIs(1));
  Join();
  ASSERT_THAT(sink_.recoveries, SizeIs(1));
  EXPECT_THAT(sink_.recoveries[0].lost, SizeIs(2));
}

TEST_F(RunRecoveryTest, AnInstalledStateSurvivesTheLossOfWhoeverRebuiltIt) {
  Begin();
  Steps(1, 2);
  Die(kShard1);
  Register(kShard2);
  Die(kShard2);
  Register(13);
  EXPECT_EQ(Announced().state, LastDecision().after());
  EXPECT_TRUE(ShardOf(0).has_log);
  Join();
  EXPECT_EQ(LastProgress().lost_steps, 0u);
}

TEST_F(RunRecoveryTest, ALossWhileTheFirstViewJoinsIsAsIfTheRunStillGathered) {
  RegisterAll();
  ReportData();
  run().Receive(kShard0, JoinedView());
  Die(kWorker1);
  EXPECT_EQ(LastProgress().phase, Phase::kGathering);
  EXPECT_EQ(LastProgress().waiting_for, "waiting for 1 of 2 workers");
  EXPECT_THAT(sink_.came_or_went.back(),
              HasSubstr("worker 1 (pid 1021 on h) was lost while joining: stream broken; its place is free again"));
  LetPass(absl::Seconds(30));
  EXPECT_EQ(CurrentView(), (View{7, 1})) << "a run's first view needs everybody";
  Register(kWorker2);
  EXPECT_EQ(CurrentView(), (View{7, 2}));
  EXPECT_EQ(LastProgress().phase, Phase::kJoining);
  Join();
  EXPECT_EQ(LastNext().plan.step, 1u);
  EXPECT_THAT(sink_.recoveries, IsEmpty());
}

TEST_F(RunRecoveryTest, WhoeverDoesNotComeWhileTheFirstViewJoinsEndsItAsAtTheStart) {
  RegisterAll();
  ReportData();
  Die(kWorker1);
  LetPass(absl::Minutes(1));
  EXPECT_THAT(Sentence(),
              AllOf(HasSubstr("gave up after 1m (cluster.connect_timeout), still waiting for 1 of 2 workers"),
                    HasSubstr("worker 1 (pid 1021 on h) was lost while joining")));
}

// --- Stops

TEST_F(RunRecoveryTest, AStopThatIsRequestedMeanwhileFollowsTheView) {
  Begin();
  Vote(1);
  Die(kShard1);
  run().RequestStop();
  EXPECT_FALSE(run().result().has_value());
  ReplaceShard1AndStopAfterStep1();
}

TEST_F(RunRecoveryTest, AStopWhileNobodyCanComeBackEndsWithWhatToResumeFrom) {
  Begin();
  Vote(1);
  Die(kShard1);
  run().RequestStop();
  LetPass(absl::Minutes(10));
  EXPECT_THAT(Sentence(), AllOf(HasSubstr("gave up after 10m (cluster.rejoin_timeout)"),
                                EndsWith("there is no checkpoint to resume from")));
}

TEST_F(RunRecoveryTest, ALossWhileStoppingBeforeItHadFinishedIsMadeUpFor) {
  Begin();
  run().RequestStop();
  Vote(1);
  CompleteCheckpoint(1);
  run().Receive(kShard0, FinishedReport{});
  Die(kShard1);
  run().Receive(kWorker0, FinishedReport{});  // it crossed the loss
  EXPECT_FALSE(run().result().has_value());
  Register(kShard2);
  EXPECT_EQ(Announced().checkpoint, "/runs/a/checkpoints/step-00000001.7");
  EXPECT_TRUE(ShardOf(0).holds);
  run().Receive(kWorker1, FinishedReport{});  // it crossed the view
  Join();
  EXPECT_EQ(LastNext(), (Next{NextAction::kStop, {}, false})) << "the step has its checkpoint";
  EXPECT_FALSE(run().result().has_value());
  FinishAll();
  EXPECT_TRUE(run().result()->ok()) << *run().result();
}

TEST_F(RunRecoveryTest, ALossAfterItHadFinishedIsNone) {
  Begin();
  run().RequestStop();
  Vote(1);
  CompleteCheckpoint(1);
  run().Receive(kShard1, FinishedReport{});
  Die(kShard1);
  LetPass(absl::Minutes(1));
  EXPECT_EQ(LastProgress().phase, Phase::kStopping);
  for (const Connection connection : {kShard0, kWorker0, kWorker1}) run().Receive(connection, FinishedReport{});
  EXPECT_TRUE(run().result()->ok()) << *run().result();
  EXPECT_THAT(sink_.recoveries, IsEmpty());
}

TEST_F(RunRecoveryTest, ALastCheckpointThatFailedWithALostMemberIsTakenAgainBeforeTheEnd) {
  Begin();
  run().RequestStop();
  Vote(1);
  const View asked = CurrentView();
  Die(kShard1);
  for (const Connection connection : {kShard0, kWorker0}) {
    run().Receive(connection, CheckpointReport{.view = asked, .step = 1, .files = {FileOf(connection)}});
  }
  ReplaceShard1AndStopAfterStep1();
}

TEST_F(RunRecoveryTest, TheLossOfAMemberThatWasToldToEndSaysSoAndTheRunStopsInOrderAfterwards) {
  Begin();
  run().Receive(kWorker1, LeavingReport{"SIGTERM"});
  Die(kWorker1);
  EXPECT_TRUE(IsNoted("worker 1 (pid 1021 on h) was lost at step 1: stream broken, after SIGTERM had told it to end"));
  Register(kWorker2);
  Join();
  EXPECT_EQ(LastNext().action, NextAction::kStop);
  FinishAll();
  EXPECT_EQ(DetailsOf(*run().result()).cause, FailureCause::kMemberLeft);
}

// --- Signs of life

TEST_F(RunRecoveryTest, SilenceLongerThanTheHeartbeatTimeoutIsALoss) {
  Begin();
  LetPass(absl::Seconds(8), kShard1);
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
  LetPass(absl::Milliseconds(500), kShard1);
  EXPECT_TRUE(IsNoted("shard 1 (pid 1011 on h) was lost at step 1: no sign of life for 8.5s"));
  EXPECT_EQ(outbox_.closed.at(kShard1), absl::UnavailableError("no sign of life for 8.5s")) << "it may come back";
  EXPECT_EQ(LastProgress().phase, Phase::kRecovering);
}

TEST_F(RunRecoveryTest, SilenceWhileTheRunStopsIsALossToo) {
  Begin();
  run().RequestStop();
  Vote(1);
  LetPass(absl::Seconds(9), kShard1);
  EXPECT_TRUE(IsNoted("shard 1 (pid 1011 on h) was lost while stopping after step 1: no sign of life for 8.5s"));
}

TEST_F(RunRecoveryTest, ASetDateIsNotTakenForSilenceAndHidesNone) {
  Begin();
  LetPass(absl::Seconds(2));
  clock_.SetForward(absl::Hours(24 * 365));
  LetPass(absl::Seconds(2));
  clock_.SetBack(absl::Hours(48 * 365));
  LetPass(absl::Seconds(2));
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
  LetPass(absl::Seconds(9), kShard1);
  EXPECT_TRUE(IsNoted("shard 1 (pid 1011 on h) was lost at step 1: no sign of life for 8.5s"));
}

TEST_F(RunRecoveryTest, ItsOwnSleepIsNotTakenForTheSilenceOfOthers) {
  Begin();
  clock_.Advance(absl::Minutes(3));
  run().Tick();
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
  LetPass(absl::Seconds(9), kWorker1);
  EXPECT_TRUE(IsNoted("worker 1 (pid 1021 on h) was lost at step 1"));
}

TEST_F(RunRecoveryTest, AMemberThatWasCutOffIsReplacedAndOneThatFailedEndsTheRun) {
  Begin();
  run().Receive(kWorker1, FailureReport{"stopped by signal 15", static_cast<int>(absl::StatusCode::kCancelled)});
  EXPECT_TRUE(IsNoted("worker 1 (pid 1021 on h) was lost at step 1: stopped by signal 15"));
  EXPECT_TRUE(absl::IsAborted(outbox_.closed.at(kWorker1)));
  Register(kWorker2);
  Join();
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
  run().Receive(kWorker2, FailureReport{"data/train: gone", static_cast<int>(absl::StatusCode::kNotFound)});
  EXPECT_EQ(Sentence(), "worker 1 (pid 1022 on h): data/train: gone");
}

TEST_F(RunRecoveryTest, WhatComesFromAClosedStreamIsIgnored) {
  Begin();
  LetPass(absl::Seconds(9), kShard1);
  ASSERT_TRUE(outbox_.closed.contains(kShard1));
  const size_t notes = sink_.notes.size();
  run().Receive(kShard1, VoteFor(1));
  run().Receive(kShard1, FailureReport{"too late", static_cast<int>(absl::StatusCode::kInternal)});
  run().Disconnected(kShard1, "stream broken");
  EXPECT_EQ(Sentence(), "(still running)");
  EXPECT_EQ(sink_.notes.size(), notes);
}

}  // namespace
}  // namespace arcshard::coordinator
