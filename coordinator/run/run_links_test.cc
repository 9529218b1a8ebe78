#include <string>
#include <utility>
#include <vector>

#include "coordinator/run/run.h"
#include "coordinator/run/testing/run_test_fixture.h"
#include "gmock/gmock.h"

// Members that live but cannot reach each other (members/suspicions.h has the rules).
namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RunLinksTest : public RunTest {
 protected:
  void Report(Connection from, std::vector<uint32_t> shards, std::vector<uint32_t> workers = {}) {
    run().Receive(
        from,
        LostPeersReport{
            .view = CurrentView(), .shards = shards, .workers = workers, .sentence = "the stream to a peer broke"});
  }
  // What the members report three times, each time in a view of its own.
  template <typename Reports>
  void ThreeTimes(Reports report) {
    for (int time = 1; time <= 3; ++time) {
      const View before = CurrentView();
      report();
      LetPass(absl::Milliseconds(500));
      if (time == 3) return;
      ASSERT_EQ(CurrentView(), (View{before.incarnation, before.counter + 1})) << time;
      Join();
    }
  }
  void Waits(Connection from, Waiting waiting) {
    waiting.view = CurrentView();
    run().Receive(from, HeartbeatReport{ParticipantStats{.waiting = std::move(waiting)}});
  }
};

TEST_F(RunLinksTest, ALostPeerThatTurnsOutToBeDeadIsALossAndNothingMore) {
  Begin();
  Report(kWorker0, {1});
  run().Tick();
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
  Die(kShard1);
  EXPECT_TRUE(IsNoted("shard 1 (pid 1011 on h) was lost at step 1: stream broken"));
  Register(12);
  Join();
  LetPass(absl::Seconds(2));
  EXPECT_EQ(CurrentView(), (View{7, 2}));
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
}

TEST_F(RunLinksTest, IfAllLiveTheyConnectAnew) {
  Begin();
  Vote(1);
  Report(kWorker0, {1});
  LetPass(absl::Milliseconds(500));
  EXPECT_EQ(CurrentView(), (View{7, 2}));
  EXPECT_EQ(Members(), Everybody());
  EXPECT_EQ(Announced().state, LastDecision().after());
  for (const ShardMember& shard : Announced().shards) EXPECT_TRUE(shard.holds && shard.has_log);
  for (const WorkerMember& worker : Announced().workers) EXPECT_TRUE(worker.holds);
  EXPECT_THAT(outbox_.closed, IsEmpty());
  Join();
  ASSERT_THAT(sink_.recoveries, SizeIs(1));
  EXPECT_THAT(sink_.recoveries[0].lost, IsEmpty());
  EXPECT_THAT(sink_.recoveries[0].sentence,
              HasSubstr("all members connect anew: worker 0: the stream to a peer broke"));
  Vote(2);
  EXPECT_EQ(LastDecision().step, 2u);
}

TEST_F(RunLinksTest, AReportOfAnOlderViewIsIgnored) {
  Begin();
  const View before = CurrentView();
  Report(kWorker0, {1});
  LetPass(absl::Milliseconds(500));
  Join();
  run().Receive(kWorker1, LostPeersReport{.view = before, .shards = {1}, .sentence = "late"});
  LetPass(absl::Seconds(2));
  EXPECT_EQ(CurrentView(), (View{7, 2}));
}

TEST_F(RunLinksTest, AShardThatMostWorkersCannotReachIsOutAndMayComeBack) {
  Begin();
  Vote(1);
  ThreeTimes([this] {
    Report(kWorker0, {1});
    Report(kWorker1, {1});
  });
  EXPECT_TRUE(absl::IsUnavailable(outbox_.closed.at(kShard1)));
  EXPECT_TRUE(
      IsNoted("shard 1 (pid 1011 on h) was lost at step 2: others cannot reach it, or it cannot reach them: "
              "worker 0: the stream to a peer broke"));
  EXPECT_EQ(LastProgress().phase, Phase::kRecovering);
  Register(12, Again(kShard1));
  EXPECT_TRUE(Announced().shards.at(1).holds);
}

TEST_F(RunLinksTest, AWorkerThatAloneCannotReachAShardIsOutAndNotLetInAgainForAWhile) {
  Begin();
  Vote(1);
  ThreeTimes([this] { Report(kWorker1, {0}); });
  EXPECT_TRUE(absl::IsUnavailable(outbox_.closed.at(kWorker1)));
  EXPECT_THAT(Announced().workers, SizeIs(1)) << "nobody waits for it";
  Register(22, Again(kWorker1));
  EXPECT_FALSE(outbox_.closed.contains(22));
  Join();
  Vote(2);
  EXPECT_THAT(Announced().workers, SizeIs(1));
  LetPass(absl::Minutes(10));
  Vote(3);
  EXPECT_THAT(Announced().workers, SizeIs(2));
}

TEST_F(RunLinksTest, TheOnlyWorkerIsLetInAgainAtOnce) {
  options_.config.cluster.workers = 1;
  Begin();
  Vote(1);
  ThreeTimes([this] { Report(kWorker0, {0, 1}); });
  EXPECT_TRUE(absl::IsUnavailable(outbox_.closed.at(kWorker0)));
  Register(22, Again(kWorker0));
  EXPECT_TRUE(Announced().workers.at(0).holds);
  EXPECT_EQ(Members(), (std::vector<Connection>{kShard0, kShard1, 22}));
}

TEST_F(RunLinksTest, AShardThatCannotReadAnothersLogIsRolledBackWithAllAfterThreeAttempts) {
  Begin();
  Vote(1);
  Die(kShard1);
  Register(12);
  for (int time = 1; time <= 3; ++time) {
    EXPECT_EQ(Announced().state.step, 1u) << time;
    Report(12, {0});
    LetPass(absl::Milliseconds(500));
  }
  EXPECT_EQ(Announced().state, StatePoint());
  EXPECT_TRUE(IsNoted("1 step is lost, because shard 1 cannot be rebuilt: shard 1: the stream to a peer broke"));
  Join();
  EXPECT_EQ(LastProgress().lost_steps, 1u);
  Vote(1);
  Die(kShard0);
  Register(13);
  EXPECT_EQ(Announced().state.step, 1u) << "logs are trusted again";
}

TEST_F(RunLinksTest, LinksThatHaveNotWorkedForTheConnectTimeoutEndTheRunWithWhatWasReported) {
  options_.config.cluster.connect_timeout = absl::Seconds(10);
  RegisterAll();
  ReportData();
  const MonotonicTime start = clock_.Now();
  while (!run().result().has_value() && clock_.Now() - start < absl::Minutes(1)) {
    Report(kWorker1, {0});
    LetPass(absl::Milliseconds(500));
  }
  EXPECT_GE(clock_.Now() - start, absl::Seconds(10));
  ASSERT_TRUE(run().result().has_value());
  EXPECT_EQ(*run().result(), absl::UnavailableError("worker 1: the stream to a peer broke"));
}

// --- Waiting (members/stalls.h has the rules)

TEST_F(RunLinksTest, AtTheStartOfARunLinksMayTakeAsLongAsTheConnectTimeout) {
  RegisterAll();
  ReportData();
  for (const Connection worker : {kWorker0, kWorker1}) Waits(worker, {.all_reduce = true, .seconds = 60.0});
  run().Tick();
  EXPECT_EQ(CurrentView(), (View{7, 1}));
  for (const Connection worker : {kWorker0, kWorker1}) Waits(worker, {.all_reduce = true, .seconds = 60.5});
  run().Tick();
  EXPECT_EQ(CurrentView(), (View{7, 2}));
}

TEST_F(RunLinksTest, WorkersThatWaitForEachOtherForLongConnectAnewAlthoughNobodyHasVoted) {
  Begin();
  for (const Connection worker : {kWorker0, kWorker1}) Waits(worker, {.all_reduce = true, .seconds = 8.0});
  run().Tick();
  EXPECT_EQ(CurrentView(), (View{7, 1}));
  Waits(kWorker0, {.all_reduce = true, .seconds = 9.0});
  Waits(kWorker1, {.all_reduce = true, .seconds = 9.5});
  run().Tick();
  EXPECT_EQ(CurrentView(), (View{7, 2}));
  EXPECT_EQ(Members(), Everybody());
  EXPECT_THAT(outbox_.closed, IsEmpty());
  EXPECT_TRUE(IsNoted("all members connect anew: worker 0: it has waited for others in vain, for 9s"));
  LetPass(absl::Minutes(1));  // their last word is of the view before
  EXPECT_EQ(CurrentView(), (View{7, 2}));
}

TEST_F(RunLinksTest, AWorkerAndAShardThatWaitForEachOtherConnectAnewWhileOthersWaitInOrder) {
  Begin();
  Waits(kShard0, {.workers = {1}, .seconds = 20.0});
  Waits(kShard1, {.workers = {1}, .seconds = 20.0});
  Waits(kWorker0, {.all_reduce = true, .seconds = 20.0});
  run().Tick();
  EXPECT_EQ(CurrentView(), (View{7, 1})) << "worker 1 may compute";
  Waits(kWorker1, {.shards = {0}, .seconds = 20.0});
  run().Tick();
  EXPECT_EQ(CurrentView(), (View{7, 2}));
  EXPECT_TRUE(IsNoted("all members connect anew: shard 0: it has waited for others in vain, for 20s"));
  Join();
  Vote(1);
  EXPECT_EQ(LastDecision().step, 1u);
}

TEST_F(RunLinksTest, WhoWaitsInVainInOneViewAfterAnotherIsOut) {
  Begin();
  ThreeTimes([this] {
    Waits(kShard0, {.workers = {1}, .seconds = 9.0});
    Waits(kWorker1, {.shards = {0}, .seconds = 9.0});
    Waits(kShard1, {.coordinator = true, .seconds = 9.0});
    Waits(kWorker0, {.all_reduce = true, .seconds = 9.0});
  });
  EXPECT_TRUE(absl::IsUnavailable(outbox_.closed.at(kWorker1)));
  EXPECT_THAT(outbox_.closed, SizeIs(1));
  EXPECT_THAT(Announced().workers, SizeIs(1));
}

TEST_F(RunLinksTest, SlowIsNotDead) {
  Begin();
  run().Receive(kShard0, VoteFor(1));
  run().Receive(kShard1, VoteFor(1));
  LetPass(absl::Seconds(30));
  for (const Connection shard : {kShard0, kShard1}) Waits(shard, {.coordinator = true, .seconds = 25.0});
  Waits(kWorker0, {.all_reduce = true, .seconds = 25.0});
  Waits(kWorker1, {});  // it computes
  LetPass(absl::Minutes(1));
  EXPECT_EQ(CurrentView(), (View{7, 1}));
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
}

TEST_F(RunLinksTest, AnEvaluationMayTakeAsLongAsItWants) {
  BeginEvaluating();
  for (const Connection connection : Everybody()) Waits(connection, {.coordinator = true, .seconds = 3600.0});
  Waits(kWorker0, {});  // it evaluates
  LetPass(absl::Minutes(1));
  EXPECT_EQ(CurrentView(), (View{7, 1}));
  EXPECT_EQ(LastProgress().phase, Phase::kEvaluating);
}

}  // namespace
}  // namespace arcshard::coordinator
