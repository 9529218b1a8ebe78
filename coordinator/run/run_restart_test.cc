#include <map>
#include <string>
#include <vector>

#include "common/protocol/lineage.h"
#include "coordinator/run/run.h"
#include "coordinator/run/testing/run_test_fixture.h"
#include "gmock/gmock.h"

// How members come back: to a coordinator that was started again, to one that they had lost for a while, and to seats
// that others have taken. And spares, which wait for a seat.
namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RunRestartTest : public RunTest {
 protected:
  static constexpr Connection kShard2 = 12, kSpare = 15, kWorker2 = 22;

  // A run that has decided so many steps, and what its members would register with after the coordinator's death.
  void RunUntil(uint64_t step) {
    Begin();
    for (uint64_t one = 1; one <= step; ++one) Vote(one);
    last_ = LastDecision();
    for (const Connection connection : Everybody()) again_[connection] = Again(connection);
  }
  void ComeBack(Connection connection) { Register(connection, again_.at(connection)); }
  void ComeBack() {
    for (const Connection connection : Everybody()) ComeBack(connection);
  }
  // The member has missed the last decision, but has voted for its step.
  void MissesTheLast(Connection connection) {
    HeldState& held = *again_.at(connection).held;
    const Decision before = Received<Decision>(connection).at(last_.step - 2);
    held.state = before.after();
    held.last = before;
    held.counters = before.counters;
    held.voted_step = last_.step;
  }

  Decision last_;
  std::map<Connection, Registration> again_;
};

Registration AsSpare(Registration registration) {
  registration.spare = true;
  return registration;
}

// --- The coordinator is started again

TEST_F(RunRestartTest, ANewCoordinatorGoesOnWhereItsMembersAre) {
  RunUntil(3);
  Restart();
  ComeBack(kWorker1);
  EXPECT_EQ(LastProgress().phase, Phase::kRecovering);
  EXPECT_EQ(LastProgress().waiting_for, "waiting for 2 of 2 shards and 1 of 2 workers");
  EXPECT_EQ(Received<Welcome>(kWorker1).at(0).id, 1u) << "its seat";
  EXPECT_EQ(Received<Welcome>(kWorker1).at(0).token, again_.at(kWorker1).token);
  clock_.Advance(absl::Seconds(2));
  for (const Connection connection : {kShard1, kWorker0, kShard0}) ComeBack(connection);
  const ViewAnnouncement view = Announced();
  EXPECT_EQ(view.view, (View{8, 1}));
  EXPECT_EQ(view.state, last_.after());
  EXPECT_EQ(view.last, last_);
  EXPECT_EQ(view.base, StatePoint());
  for (const ShardMember& shard : view.shards) EXPECT_TRUE(shard.holds && shard.has_log) << shard.id;
  for (const WorkerMember& worker : view.workers) EXPECT_TRUE(worker.holds) << worker.id;
  EXPECT_EQ(view.shards.at(1).range, (ClassRange{4, 9}));
  EXPECT_EQ(view.shards.at(1).address, "h:11");
  Join();
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
  EXPECT_EQ(LastProgress().step, 3u);
  EXPECT_EQ(LastProgress().resumed_step, 3u);
  EXPECT_DOUBLE_EQ(LastProgress().epoch, 0.3);
  EXPECT_EQ(Received<Install>(kShard0).at(0), (Install{{8, 1}, {NextAction::kStep, StepPlan{4, 0, 30, {5, 5}}}, {}}));
  ASSERT_THAT(sink_.recoveries, SizeIs(1));
  EXPECT_EQ(sink_.recoveries[0].lost.at(0).role, LostRole::kCoordinator);
  EXPECT_EQ(sink_.recoveries[0].took, absl::Seconds(2));
  Vote(4);
  EXPECT_EQ(LastDecision().lineage, ExtendLineage(last_.lineage, LastDecision()));
}

TEST_F(RunRestartTest, ADecisionThatSomeMembersHaveMissedStands) {
  RunUntil(3);
  for (const Connection connection : {kShard0, kShard1, kWorker1}) MissesTheLast(connection);
  Restart();
  ComeBack();
  EXPECT_EQ(Announced().state, last_.after());
  EXPECT_EQ(Announced().last, last_);
  EXPECT_TRUE(Announced().shards.at(0).holds);
  EXPECT_TRUE(Announced().workers.at(1).holds);
}

TEST_F(RunRestartTest, ADecisionThatNobodyHasReceivedWasNeverMade) {
  RunUntil(3);
  for (const Connection connection : Everybody()) MissesTheLast(connection);
  Restart();
  ComeBack();
  EXPECT_EQ(Announced().state.step, 2u);
  Join();
  EXPECT_EQ(LastNext().plan.step, 3u);
  EXPECT_EQ(LastProgress().lost_steps, 0u);
}

TEST_F(RunRestartTest, WhatWasCountedComesBackWithTheMembers) {
  options_.config.verification.sets = {"omniglot.bin"};
  options_.config.verification.every_epochs = 0.1;
  Begin();
  VoteWithNan(1);
  run().Receive(kWorker0, EvaluationReport{CurrentView(), {{"omniglot", 0.75}}});
  RunCounters counters = Received<Proceed>(kShard1).back().counters;
  for (const Connection connection : Everybody()) again_[connection] = Again(connection);
  again_.at(kShard1).held->counters = counters;  // it got the Proceed, the others only the decision
  Restart();
  ComeBack();
  Join();
  EXPECT_EQ(Received<Install>(kWorker0).at(0).counters, counters);
  EXPECT_EQ(counters.skips_in_a_row, 1u);
  EXPECT_EQ(counters.verified_step, 1u);
  EXPECT_EQ(LastProgress().best_accuracy, 0.75);
  EXPECT_EQ(LastNext().action, NextAction::kStep) << "the state was verified already";
}

TEST_F(RunRestartTest, AMemberThatDiedMeanwhileIsReplacedAndTheStateRebuilt) {
  RunUntil(3);
  Restart();
  Register(kShard2);  // in place of kShard1, and the first to come
  EXPECT_EQ(LastProgress().phase, Phase::kGathering);
  EXPECT_EQ(Received<Welcome>(kShard2).at(0).id, 0u);
  ComeBack(kShard0);
  EXPECT_TRUE(absl::IsUnavailable(outbox_.closed.at(kShard2))) << "it may take the other seat";
  EXPECT_EQ(Received<Welcome>(kShard0).at(0).id, 0u);
  ComeBack(kWorker0);
  ComeBack(kWorker1);
  Register(13);
  EXPECT_EQ(Received<Welcome>(13).at(0).id, 1u);
  EXPECT_EQ(Announced().state, last_.after());
  EXPECT_TRUE(Announced().shards.at(0).has_log);
  EXPECT_FALSE(Announced().shards.at(1).holds);
}

TEST_F(RunRestartTest, AWorkerThatDoesNotComeBackIsWaitedForAsLongAsAfterALoss) {
  RunUntil(3);
  Restart();
  for (const Connection connection : {kShard0, kShard1, kWorker1}) ComeBack(connection);
  LetPass(options_.config.cluster.rejoin_grace - absl::Milliseconds(500));
  EXPECT_THAT(sink_.views, IsEmpty());
  LetPass(absl::Milliseconds(500));
  ASSERT_THAT(sink_.views, SizeIs(1));
  EXPECT_THAT(Announced().workers, SizeIs(1));
  EXPECT_EQ(Announced().workers.at(0).id, 1u);
  EXPECT_EQ(Announced().state, last_.after());
}

TEST_F(RunRestartTest, AWorkerThatTheRunHadLeftOutIsNotWaitedFor) {
  Begin();
  Die(kWorker1);
  LetPass(absl::Seconds(10));
  Join();
  Vote(1);
  for (const Connection connection : {kShard0, kShard1, kWorker0}) again_[connection] = Again(connection);
  Restart();
  for (const Connection connection : {kShard0, kShard1, kWorker0}) ComeBack(connection);
  EXPECT_EQ(Announced().state.step, 1u);
}

TEST_F(RunRestartTest, WhereNobodyHoldsAnythingItIsAPlainStart) {
  RunUntil(3);
  Restart();
  RegisterAll();
  EXPECT_EQ(LastProgress().phase, Phase::kGathering);
  ReportData();
  EXPECT_EQ(Announced().state, StatePoint());
  Join();
  EXPECT_EQ(LastNext().plan.step, 1u);
  EXPECT_THAT(sink_.recoveries, IsEmpty());
}

TEST_F(RunRestartTest, AllWorkersAreLostWithTheCoordinatorAndEverybodyIsRolledBack) {
  options_.config.checkpoint.every_steps = 2;
  RunUntil(3);
  ReportCheckpoints(2);
  options_.resume = ResumePoint{keeper_.folders.at(0), keeper_.manifests.at(0)};
  Restart();
  ComeBack(kShard0);
  ComeBack(kShard1);
  Register(kWorker2);
  Register(23);
  EXPECT_EQ(Announced().state.step, 2u);
  EXPECT_EQ(Announced().checkpoint, "/runs/a/checkpoints/step-00000002.7");
  EXPECT_TRUE(IsNoted("the run goes back from step 3 to step 2"));
  EXPECT_EQ(LastProgress().resumed_step, 2u);
  Join();
  EXPECT_EQ(LastProgress().lost_steps, 1u);
}

TEST_F(RunRestartTest, MembersThatAreBehindTheNewestCheckpointRestoreIt) {
  options_.config.checkpoint.every_steps = 3;
  RunUntil(3);
  ReportCheckpoints(3);
  options_.resume = ResumePoint{keeper_.folders.at(0), keeper_.manifests.at(0)};
  for (const Connection connection : Everybody()) MissesTheLast(connection);
  Restart();
  ComeBack();
  EXPECT_EQ(Announced().state, last_.after());
  EXPECT_EQ(Announced().base, last_.after());
  EXPECT_EQ(LastProgress().lost_steps, 0u);
}

TEST_F(RunRestartTest, AViewThatTheDeadCoordinatorHadAnnouncedToSomeOnlyHarmsNobody) {
  RunUntil(3);
  // One worker was told of view 7.2, with the same members and state, before the coordinator died.
  again_.at(kWorker0).held->view = {7, 2};
  Restart();
  ComeBack();
  EXPECT_EQ(Announced().state, last_.after());
  for (const ShardMember& shard : Announced().shards) EXPECT_TRUE(shard.holds);
}

TEST_F(RunRestartTest, AStateOfAnotherRunInTheSameFolderDoesNotCount) {
  RunUntil(3);
  options_.first_incarnation = 8;  // it was begun anew
  Restart();
  ComeBack();
  EXPECT_EQ(Announced().state, StatePoint());
  for (const ShardMember& shard : Announced().shards) EXPECT_FALSE(shard.holds);
  EXPECT_THAT(sink_.recoveries, IsEmpty());
}

TEST_F(RunRestartTest, WithAnotherNumberOfShardsEverybodyGoesBackToTheBase) {
  RunUntil(3);
  options_.config.cluster.shards = 3;
  Restart();
  for (const Connection connection : {kShard0, kShard1, kWorker0, kWorker1}) ComeBack(connection);
  Register(kShard2);
  EXPECT_EQ(Announced().state, StatePoint());
  EXPECT_THAT(Announced().shards, SizeIs(3));
  EXPECT_TRUE(IsNoted("because the run has other shards or classes than before"));
}

TEST_F(RunRestartTest, MessagesOfTheDeadCoordinatorsViewsAreIgnored) {
  RunUntil(3);
  const View before = CurrentView();
  Restart();
  ComeBack(kWorker0);
  run().Receive(kWorker0, ReadyVote{.view = before, .step = 4});
  run().Receive(kWorker0, EvaluationReport{before, {}});
  run().Receive(kWorker0, CheckpointReport{.view = before, .step = 3});
  run().Receive(kWorker0, LostPeersReport{.view = before, .shards = {0}, .sentence = "gone"});
  run().Receive(kWorker0, FinishedReport{});
  EXPECT_FALSE(outbox_.closed.contains(kWorker0));
}

TEST_F(RunRestartTest, AStopBeforeItsMembersAreAllBackIsInOrderWithTheirState) {
  RunUntil(3);
  Restart();
  ComeBack(kShard0);
  run().RequestStop();
  EXPECT_FALSE(run().result().has_value());
  for (const Connection connection : {kShard1, kWorker0, kWorker1}) ComeBack(connection);
  Join();
  EXPECT_EQ(LastNext(), (Next{NextAction::kStop, {}, true}));
}

// --- To the same coordinator

TEST_F(RunRestartTest, MembersThatHadLostTheCoordinatorForAWhileGoOn) {
  RunUntil(3);
  for (const Connection connection : {kShard1, kWorker0}) MissesTheLast(connection);
  for (const Connection connection : Everybody()) Die(connection);  // their streams, that is
  EXPECT_EQ(LastProgress().phase, Phase::kRecovering);
  for (const Connection connection : Everybody()) Register(connection + 30, again_.at(connection));
  EXPECT_EQ(CurrentView(), (View{7, 2}));
  EXPECT_EQ(Announced().state, last_.after());
  for (const ShardMember& shard : Announced().shards) EXPECT_TRUE(shard.holds) << shard.id;
  Join();
  ASSERT_THAT(sink_.recoveries, SizeIs(1));
  EXPECT_THAT(sink_.recoveries[0].lost, SizeIs(4));
}

TEST_F(RunRestartTest, WhoRegistersAgainOnAnotherStreamKeepsItsSeatAndTheFormerStreamIsClosed) {
  RunUntil(2);
  Register(kShard2, again_.at(kShard1));
  EXPECT_TRUE(absl::IsUnavailable(outbox_.closed.at(kShard1)));
  EXPECT_EQ(Received<Welcome>(kShard2).at(0).id, 1u);
  EXPECT_EQ(Received<Welcome>(kShard2).at(0).token, again_.at(kShard1).token);
  EXPECT_EQ(CurrentView(), (View{7, 2}));
  EXPECT_TRUE(Announced().shards.at(1).holds);
  run().Disconnected(kShard1, "stream broken");  // only now does the coordinator learn of it
  EXPECT_EQ(CurrentView(), (View{7, 2}));
  Join();
  Vote(3);
  EXPECT_EQ(LastDecision().step, 3u);
}

TEST_F(RunRestartTest, WhoWasStoppedForAWhileGetsItsPlaceBackIfNobodyHasIt) {
  RunUntil(2);
  LetPass(absl::Seconds(9), kShard1);
  EXPECT_EQ(LastProgress().phase, Phase::kRecovering);
  Register(kShard2, again_.at(kShard1));
  EXPECT_EQ(Received<Welcome>(kShard2).at(0).id, 1u);
  EXPECT_TRUE(Announced().shards.at(1).holds) << "nothing was decided without it";
}

TEST_F(RunRestartTest, WhoseLostPlaceIsTakenIsRefused) {
  RunUntil(2);
  LetPass(absl::Seconds(9), kShard1);
  Register(13);
  Register(kShard2, again_.at(kShard1));
  EXPECT_TRUE(absl::IsFailedPrecondition(outbox_.closed.at(kShard2)));
  EXPECT_THAT(std::string(outbox_.closed.at(kShard2).message()), HasSubstr("the run has all its 2 shards"));
  Join();
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
}

TEST_F(RunRestartTest, AWorkerThatComesBackAfterOthersWentOnCopiesTheirState) {
  RunUntil(2);
  LetPass(absl::Seconds(9), kWorker1);
  LetPass(absl::Seconds(10));
  Join();
  Vote(3);
  Register(kWorker2, again_.at(kWorker1));
  Vote(4);
  EXPECT_EQ(Announced().workers.at(1).id, 1u);
  EXPECT_FALSE(Announced().workers.at(1).holds);
  EXPECT_EQ(Announced().state.step, 4u);
}

TEST_F(RunRestartTest, AVoteOfAnEarlierViewThanTheDecisionsIsNoWayToItsState) {
  RunUntil(1);
  run().Receive(kWorker1, VoteFor(2));
  Registration late = again_.at(kWorker1);
  late.held->voted_step = 2;  // of view 7.1, with other micro-batches than step 2 of view 7.2
  LetPass(absl::Seconds(9), kWorker1);
  LetPass(absl::Seconds(10));
  Join();
  Vote(2);
  EXPECT_EQ(LastDecision().view, (View{7, 2}));
  Register(kWorker2, late);
  Die(kShard1);
  Register(kShard2);
  EXPECT_EQ(Announced().state.step, 2u);
  ASSERT_THAT(Announced().workers, SizeIs(2));
  EXPECT_TRUE(Announced().workers.at(0).holds);
  EXPECT_FALSE(Announced().workers.at(1).holds);
}

TEST_F(RunRestartTest, TheGpuOfALostShardGoesToWhoTakesItsSeat) {
  const auto on_a_gpu = [](Connection connection) {
    Registration registration = RegistrationOf(connection);
    registration.device_request = DeviceRequest{
        "m", registration.address, {{"GPU-0", "H100", uint64_t{1} << 30}, {"GPU-1", "H100", uint64_t{1} << 30}}};
    return registration;
  };
  Register(kShard0, on_a_gpu(kShard0));
  Register(kShard1, on_a_gpu(kShard1));
  Register(kWorker0);
  Register(kWorker1);
  Join();
  Vote(1);
  Register(kSpare, AsSpare(on_a_gpu(kSpare)));
  EXPECT_THAT(Received<Welcome>(kSpare), IsEmpty());
  Die(kShard1);
  ASSERT_THAT(Received<Welcome>(kSpare), SizeIs(1));
  EXPECT_EQ(Received<Welcome>(kSpare)[0].device, "GPU-1");
}

// --- Spares

TEST_F(RunRestartTest, ASpareWaitsAndGetsALostSeat) {
  RunUntil(2);
  Register(kSpare, AsSpare(RegistrationOf(kSpare)));
  EXPECT_THAT(Received<Welcome>(kSpare), IsEmpty());
  EXPECT_FALSE(outbox_.closed.contains(kSpare));
  outbox_.sent[kSpare];  // it is there, and beats
  LetPass(absl::Minutes(1));
  EXPECT_THAT(Received<Pulse>(kSpare), SizeIs(60));
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
  Die(kShard0);
  EXPECT_EQ(Received<Welcome>(kSpare).at(0).id, 0u);
  EXPECT_EQ(CurrentView(), (View{7, 2}));
  EXPECT_EQ(Announced().shards.at(0).address, "h:15");
  Join();
  EXPECT_EQ(LastProgress().recoveries, 1u);
}

TEST_F(RunRestartTest, ALostSeatIsKeptForAMomentForWhoeverHadIt) {
  options_.seat_grace = absl::Milliseconds(500);
  RunUntil(2);
  Register(kSpare, AsSpare(RegistrationOf(kSpare)));
  // This process was stopped: it finds that the streams of both shards broke before it finds their new ones.
  for (const Connection connection : {kShard0, kShard1}) {
    Registration again = again_.at(connection);
    Die(connection);
    EXPECT_THAT(Received<Welcome>(kSpare), IsEmpty());
    Register(connection + 6, again);
  }
  EXPECT_THAT(Received<Welcome>(16), SizeIs(1));
  EXPECT_THAT(Received<Welcome>(17), SizeIs(1));
  EXPECT_EQ(Announced().state.step, 2u);
  for (const ShardMember& shard : Announced().shards) EXPECT_TRUE(shard.holds) << shard.id;
}

TEST_F(RunRestartTest, OnceALostSeatIsNotKeptAnyMoreWhoeverHasWaitedGetsIt) {
  options_.seat_grace = absl::Milliseconds(500);
  RunUntil(2);
  Die(kShard0);
  Register(kShard2);  // no spare
  EXPECT_THAT(Received<Welcome>(kShard2), IsEmpty());
  EXPECT_FALSE(outbox_.closed.contains(kShard2));
  clock_.Advance(absl::Milliseconds(400));
  run().Tick();
  EXPECT_THAT(Received<Welcome>(kShard2), IsEmpty());
  clock_.Advance(absl::Milliseconds(100));
  run().Tick();
  EXPECT_EQ(Received<Welcome>(kShard2).at(0).id, 0u);
  EXPECT_EQ(Announced().view, (View{7, 2}));
}

TEST_F(RunRestartTest, ASpareThatFallsSilentOrLeavesWaitsNoLonger) {
  RunUntil(1);
  Register(kSpare, AsSpare(RegistrationOf(kSpare)));
  LetPass(absl::Seconds(9), kSpare);
  EXPECT_TRUE(absl::IsUnavailable(outbox_.closed.at(kSpare)));
  Register(16, AsSpare(RegistrationOf(16)));
  run().Disconnected(16, "stream broken");
  Register(17, AsSpare(RegistrationOf(17)));
  run().Receive(17, LeavingReport{"SIGTERM"});
  EXPECT_TRUE(absl::IsAborted(outbox_.closed.at(17)));
  Register(18, AsSpare(RegistrationOf(18)));
  run().Receive(18, VoteFor(2));
  EXPECT_TRUE(absl::IsFailedPrecondition(outbox_.closed.at(18)));
  Die(kShard0);
  EXPECT_EQ(LastProgress().phase, Phase::kRecovering);
  for (const Connection spare : {kSpare, Connection{16}, Connection{17}, Connection{18}}) {
    EXPECT_THAT(Received<Welcome>(spare), IsEmpty()) << spare;
  }
}

TEST_F(RunRestartTest, AtTheStartASpareTakesASeatOnlyIfNobodyElseHasForAWhile) {
  Register(kSpare, AsSpare(RegistrationOf(kSpare)));
  Register(kShard0);
  EXPECT_EQ(LastProgress().waiting_for, "waiting for 1 of 2 shards and 2 of 2 workers");
  outbox_.sent[kSpare];
  LetPass(options_.config.cluster.rejoin_grace - absl::Milliseconds(500));
  EXPECT_THAT(Received<Welcome>(kSpare), IsEmpty());
  LetPass(absl::Milliseconds(500));
  EXPECT_EQ(Received<Welcome>(kSpare).at(0).id, 1u);
}

TEST_F(RunRestartTest, AtTheStartAShardThatIsNoSpareComesFirst) {
  Register(kSpare, AsSpare(RegistrationOf(kSpare)));
  Begin();
  EXPECT_EQ(Members(), Everybody());
  EXPECT_THAT(Received<Welcome>(kSpare), IsEmpty());
}

TEST_F(RunRestartTest, ASpareThatHadASeatGetsThatBack) {
  RunUntil(2);
  Register(kSpare, AsSpare(RegistrationOf(kSpare)));
  Die(kShard1);
  Join();
  Vote(3);
  const Registration back = AsSpare(Again(kSpare));
  Die(kSpare);
  Register(16, back);
  EXPECT_EQ(Received<Welcome>(16).at(0).id, 1u);
  EXPECT_TRUE(Announced().shards.at(1).holds);
}

TEST_F(RunRestartTest, SparesHearOfTheEnd) {
  RunUntil(1);
  Register(kSpare, AsSpare(RegistrationOf(kSpare)));
  run().Receive(kShard1, FailureReport{"no memory", static_cast<int>(absl::StatusCode::kResourceExhausted)});
  EXPECT_EQ(outbox_.closed.at(kSpare), absl::AbortedError(Sentence()));
}

}  // namespace
}  // namespace arcshard::coordinator
