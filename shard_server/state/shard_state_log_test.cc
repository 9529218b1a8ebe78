// The replay log of a shard: what it keeps, what votes say about it, and who reads it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::SizeIs;

Decision WithCheckpoint(Decision decision) {
  decision.next.checkpoint = true;
  return decision;
}

// A run in step 1 whose log has room for so many steps.
class LogTest : public testing::Test {
 protected:
  void Begin(uint64_t steps, absl::Duration recovery_target = absl::InfiniteDuration()) {
    ShardState::Options options = TestRun::OptionsWithLog(steps);
    options.recovery_target = recovery_target;
    run_ = TestRun::InStep1(options);
  }
  // Step `step`, with a checkpoint of the state after it.
  void TakePartWithCheckpoint(uint64_t step) {
    ASSERT_TRUE(run_->TakePart(step - 1).ok());
    ASSERT_TRUE(run_->SendStep(step).ok());
    ASSERT_TRUE(run_->state.Decide(WithCheckpoint(Commit(step))).ok());
    run_->RunAll();
  }
  size_t votes() const { return run_->output.votes.size(); }
  const ReadyVote& last_vote() const { return run_->output.votes.back(); }
  std::optional<StatePoint> base() const { return run_->state.held().log_base; }

  std::unique_ptr<TestRun> run_;
};

TEST_F(LogTest, HasEveryRecordSinceTheBase) {
  Begin(100);
  ASSERT_TRUE(run_->TakePart(10).ok());
  EXPECT_EQ(base(), StatePoint());
  EXPECT_EQ(run_->state.load().log_steps, 11u) << "with the open step's";
  EXPECT_EQ(run_->state.load().log_bytes, 10 * kStepBytes);
  const auto records = run_->Records({}, 10);
  ASSERT_THAT(records, SizeIs(10));
  for (uint64_t step = 1; step <= 10; ++step) {
    EXPECT_EQ(records[step - 1]->plan, PlanOf(step).plan);
    EXPECT_EQ(records[step - 1]->after, PointAfter(step));
    EXPECT_EQ(records[step - 1]->micro_batches[2].embedding, EmbeddingOf(step, 2));
  }
}

TEST_F(LogTest, WithoutMemoryOrWithOneShardInTheView_ItKeepsTwoRecordsAndNothingIsSaidAboutIt) {
  ViewAnnouncement alone = TestView();
  alone.shards = {{1, "", {2, 6}}};
  for (const bool without_memory : {true, false}) {
    TestRun run(without_memory ? TestRun::DefaultOptions() : TestRun::OptionsWithLog(100));
    ASSERT_TRUE(run.Enter(without_memory ? TestView() : alone, PlanOf(1)).ok());
    ASSERT_TRUE(run.TakePart(10).ok());
    EXPECT_EQ(run.state.load().log_steps, 2u);
    EXPECT_EQ(run.state.load().log_bytes, kStepBytes);
    EXPECT_EQ(run.state.held().log_base, std::nullopt);
    for (const ReadyVote& vote : run.output.votes) {
      EXPECT_FALSE(vote.wants_checkpoint);
      EXPECT_FALSE(vote.log_is_dropped);
    }
    run.state.CheckpointSettled({PointAfter(10), true});
    EXPECT_EQ(run.state.held().log_base, std::nullopt);
  }
}

TEST_F(LogTest, RecordAfter_GivesEachRecordAndSaysWhereTheLogEnds) {
  Begin(100);
  ASSERT_TRUE(run_->TakePart(3).ok());
  EXPECT_EQ((*run_->state.RecordAfter(PointAfter(2)))->plan.step, 3u);
  EXPECT_EQ(run_->state.RecordAfter(PointAfter(3)).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(run_->state.RecordAfter(PointAfter(4)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(run_->state.RecordAfter({2, 77}).status().code(), absl::StatusCode::kNotFound) << "another lineage";
  run_->state.CheckpointSettled({PointAfter(2), true});
  EXPECT_EQ(run_->state.RecordAfter(PointAfter(1)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ((*run_->state.RecordAfter(PointAfter(2)))->plan.step, 3u);
}

TEST_F(LogTest, ARecordCanBeReadFromItsDecisionOn) {
  Begin(100);
  ASSERT_TRUE(run_->SendStep(1).ok());
  EXPECT_EQ(run_->state.RecordAfter({}).status().code(), absl::StatusCode::kOutOfRange);
  ASSERT_TRUE(run_->state.Decide(Commit(1)).ok());
  EXPECT_EQ((*run_->state.RecordAfter({}))->after, PointAfter(1));
}

TEST_F(LogTest, ACompleteCheckpointReleasesTheRecordsUpToItsState) {
  Begin(100);
  TakePartWithCheckpoint(4);
  ASSERT_TRUE(run_->TakePart(6).ok());
  EXPECT_EQ(base(), StatePoint());
  run_->state.CheckpointSettled({PointAfter(4), true});
  EXPECT_EQ(base(), PointAfter(4));
  EXPECT_EQ(run_->state.load().log_steps, 3u);
  run_->state.CheckpointSettled({PointAfter(2), true});  // an older one
  EXPECT_EQ(base(), PointAfter(4));
  run_->state.CheckpointSettled({{5, 99}, true});  // of another lineage
  EXPECT_EQ(base(), PointAfter(4));
}

TEST_F(LogTest, ACheckpointThatFailsReleasesNothing) {
  Begin(100);
  TakePartWithCheckpoint(4);
  run_->state.CheckpointSettled({PointAfter(4), false});
  EXPECT_EQ(base(), StatePoint());
  EXPECT_THAT(run_->Records({}, 4), SizeIs(4));
}

TEST_F(LogTest, ACheckpointMayBeCompleteWhileItsStepIsStillBeingApplied) {
  Begin(100);
  ASSERT_TRUE(run_->SendStep(1).ok());
  ASSERT_TRUE(run_->state.Decide(Commit(1)).ok());
  run_->state.CheckpointSettled({PointAfter(1), true});
  run_->RunAll();
  EXPECT_EQ(run_->head.updates.size(), 1u);
  EXPECT_EQ(base(), PointAfter(1));
}

TEST_F(LogTest, ANewViewsBaseReleasesTheRecordsUpToIt) {
  Begin(100);
  ASSERT_TRUE(run_->TakePart(5).ok());
  ASSERT_TRUE(run_->state.JoinView(ViewAfter({1, 3}, Commit(5), PointAfter(3)), &run_->head).ok());
  EXPECT_EQ(base(), PointAfter(3));
  run_->RunAll();
  EXPECT_EQ(base(), PointAfter(3));
  EXPECT_THAT(run_->Records(PointAfter(3), 5), SizeIs(2));
}

TEST_F(LogTest, AVoidStepsRecordLeavesTheLog) {
  Begin(100);
  ASSERT_TRUE(run_->TakePart(2).ok());
  ASSERT_TRUE(run_->SendStep(3).ok());
  ASSERT_TRUE(run_->state.JoinView(ViewAfter({1, 3}, Commit(2)), &run_->head).ok());
  run_->RunAll();
  EXPECT_EQ(run_->state.load().log_steps, 2u);
  EXPECT_EQ(run_->state.load().log_bytes, 2 * kStepBytes);
  EXPECT_EQ(base(), StatePoint());
}

// --- Votes

TEST_F(LogTest, FromHalfOfTheMemoryOnVotesWantACheckpoint_UnlessOneIsBeingWritten) {
  Begin(4);
  ASSERT_TRUE(run_->SendStep(1).ok());
  EXPECT_FALSE(last_vote().wants_checkpoint);
  ASSERT_TRUE(run_->state.Decide(Commit(1)).ok());
  ASSERT_TRUE(run_->SendStep(2).ok());
  EXPECT_TRUE(last_vote().wants_checkpoint);
  EXPECT_FALSE(last_vote().log_is_dropped);
  ASSERT_TRUE(run_->state.Decide(WithCheckpoint(Commit(2))).ok());
  ASSERT_TRUE(run_->SendStep(3).ok());
  EXPECT_FALSE(last_vote().wants_checkpoint) << "that of step 2 will leave one record";
  run_->state.CheckpointSettled({PointAfter(2), true});
  ASSERT_TRUE(run_->state.Decide(Commit(3)).ok());
  ASSERT_TRUE(run_->SendStep(4).ok());
  EXPECT_TRUE(last_vote().wants_checkpoint);
}

TEST_F(LogTest, FromHalfOfTheRecoveryTargetOnVotesWantACheckpoint) {
  Begin(100, absl::Seconds(9));
  run_->head.pass_1 = absl::Seconds(2);
  run_->head.pass_2 = absl::Seconds(1);
  ASSERT_TRUE(run_->TakePart(2).ok());
  EXPECT_EQ(run_->state.load().replay_seconds, 4.0) << "of each step, half of pass 1 and pass 2";
  ASSERT_TRUE(run_->SendStep(3).ok());
  EXPECT_FALSE(last_vote().wants_checkpoint);
  ASSERT_TRUE(run_->TakePart(3).ok());
  ASSERT_TRUE(run_->SendStep(4).ok());
  EXPECT_TRUE(last_vote().wants_checkpoint);
  run_->state.CheckpointSettled({PointAfter(3), true});
  ASSERT_TRUE(run_->TakePart(4).ok());
  EXPECT_EQ(run_->state.load().replay_seconds, 2.0);
}

TEST_F(LogTest, WhenItIsFull_TheVoteWaitsUntilTheCheckpointIsComplete) {
  Begin(4);
  TakePartWithCheckpoint(2);
  ASSERT_TRUE(run_->TakePart(4).ok());
  EXPECT_EQ(votes(), 4u);
  ASSERT_TRUE(run_->SendStep(5).ok());
  EXPECT_EQ(votes(), 4u);
  EXPECT_FALSE(run_->state.HasWork());
  EXPECT_EQ(run_->state.held().voted_step, 0u);
  EXPECT_EQ(run_->state.Decide(Commit(5)).code(), absl::StatusCode::kFailedPrecondition);
  run_->state.CheckpointSettled({PointAfter(2), true});
  run_->RunAll();
  ASSERT_EQ(votes(), 5u);
  EXPECT_FALSE(last_vote().log_is_dropped);
  EXPECT_EQ(base(), PointAfter(2));
  EXPECT_TRUE(run_->state.Decide(Commit(5)).ok());
}

TEST_F(LogTest, AVoteWaitsAlsoWhereTheReplayWouldTakeLongerThanTheTarget) {
  Begin(100, absl::Seconds(3));
  run_->head.pass_2 = absl::Seconds(1);
  TakePartWithCheckpoint(2);
  ASSERT_TRUE(run_->TakePart(3).ok());
  ASSERT_TRUE(run_->SendStep(4).ok());
  EXPECT_EQ(votes(), 4u) << "three seconds are the target";
  ASSERT_TRUE(run_->state.Decide(Commit(4)).ok());
  ASSERT_TRUE(run_->SendStep(5).ok());
  EXPECT_EQ(votes(), 4u);
  run_->state.CheckpointSettled({PointAfter(2), false});
  run_->RunAll();
  EXPECT_EQ(votes(), 5u);
  EXPECT_FALSE(last_vote().log_is_dropped) << "a slow replay is better than none";
  EXPECT_TRUE(last_vote().wants_checkpoint);
  EXPECT_EQ(base(), StatePoint());
}

TEST_F(LogTest, WhenItIsFullAndTheCheckpointFails_ItIsDroppedAndTrainingGoesOn) {
  Begin(4);
  TakePartWithCheckpoint(2);
  ASSERT_TRUE(run_->TakePart(4).ok());
  ASSERT_TRUE(run_->SendStep(5).ok());
  run_->state.CheckpointSettled({PointAfter(2), false});
  run_->RunAll();
  ASSERT_EQ(votes(), 5u);
  EXPECT_TRUE(last_vote().log_is_dropped);
  EXPECT_FALSE(last_vote().wants_checkpoint);
  EXPECT_EQ(base(), std::nullopt);
  EXPECT_EQ(run_->state.load().log_steps, 2u);
  ASSERT_TRUE(run_->TakePart(20).ok());
  EXPECT_TRUE(last_vote().log_is_dropped);
  EXPECT_EQ(run_->state.load().log_steps, 2u);
}

TEST_F(LogTest, WhenItIsFullAndNoCheckpointIsBeingWritten_ItIsDroppedAtOnce) {
  Begin(4);
  ASSERT_TRUE(run_->TakePart(4).ok());
  EXPECT_TRUE(last_vote().wants_checkpoint);
  EXPECT_EQ(base(), StatePoint());
  ASSERT_TRUE(run_->SendStep(5).ok());
  EXPECT_EQ(votes(), 5u);
  EXPECT_TRUE(last_vote().log_is_dropped);
  EXPECT_EQ(run_->state.RecordAfter({}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(run_->state.Decide(Commit(5)).ok());
}

TEST_F(LogTest, ADroppedLogBeginsAgainWithTheNextCheckpoint) {
  Begin(4);
  ASSERT_TRUE(run_->TakePart(6).ok());
  ASSERT_TRUE(last_vote().log_is_dropped);
  TakePartWithCheckpoint(7);
  ASSERT_TRUE(run_->TakePart(9).ok());
  EXPECT_TRUE(last_vote().log_is_dropped) << "the checkpoint is not complete";
  EXPECT_EQ(base(), std::nullopt);
  run_->state.CheckpointSettled({PointAfter(7), true});
  EXPECT_EQ(base(), PointAfter(7));
  EXPECT_THAT(run_->Records(PointAfter(7), 9), SizeIs(2));
  ASSERT_TRUE(run_->SendStep(10).ok());
  EXPECT_FALSE(last_vote().log_is_dropped);
}

TEST_F(LogTest, ADroppedLogDoesNotBeginWithACheckpointThatFails) {
  Begin(4);
  ASSERT_TRUE(run_->TakePart(6).ok());
  TakePartWithCheckpoint(7);
  run_->state.CheckpointSettled({PointAfter(7), false});
  ASSERT_TRUE(run_->TakePart(10).ok());
  EXPECT_EQ(run_->state.load().log_steps, 2u);
  EXPECT_EQ(base(), std::nullopt);
}

TEST_F(LogTest, NoVoteWaitsForACheckpointOfAnOlderView) {
  Begin(4);
  TakePartWithCheckpoint(2);
  ASSERT_TRUE(run_->TakePart(4).ok());
  ASSERT_TRUE(run_->SendStep(5).ok());
  ASSERT_EQ(votes(), 4u);
  const View second{1, 3};
  ASSERT_TRUE(run_->Enter(ViewAfter(second, Commit(4)), PlanOf(5)).ok());
  ASSERT_TRUE(run_->SendStep(5, second).ok());
  EXPECT_EQ(votes(), 5u) << "that it has ended may have been said while this process was away";
  EXPECT_TRUE(last_vote().log_is_dropped);
}

// --- A peer that reads

TEST_F(LogTest, ARecordThatAPeerReadsStaysAsItIs_AlsoWhenTheLogHasReleasedIt) {
  Begin(100);
  ASSERT_TRUE(run_->TakePart(3).ok());
  std::shared_ptr<const ReplayRecord> read = *run_->state.RecordAfter({});
  run_->state.CheckpointSettled({PointAfter(3), true});
  ASSERT_TRUE(run_->TakePart(8).ok());
  EXPECT_EQ(read->plan, PlanOf(1).plan);
  EXPECT_EQ(read->after, PointAfter(1));
  for (uint32_t m = 0; m < 3; ++m) EXPECT_EQ(read->micro_batches[m].embedding, EmbeddingOf(1, m));
}

// TSan checks that the memory of a record is used again only after its last reader is done.
TEST_F(LogTest, PeersReadWhileTheLogGrowsAndReleases) {
  Begin(100);
  std::atomic<uint64_t> decided = 0;
  std::atomic<bool> over = false;
  std::atomic<int> wrong = 0;
  const auto read = [&] {
    while (!over) {
      const uint64_t step = decided;
      if (step == 0) {
        std::this_thread::yield();
        continue;
      }
      const auto record = run_->state.RecordAfter(PointAfter(step - 1));
      if (!record.ok()) continue;  // released meanwhile
      if ((*record)->micro_batches[0].embedding != EmbeddingOf(step, 0)) ++wrong;
    }
  };
  std::thread first(read), second(read);
  for (uint64_t step = 1; step <= 60; ++step) {
    EXPECT_TRUE(run_->TakePart(step).ok());
    decided = step;
    if (step % 5 == 0) run_->state.CheckpointSettled({PointAfter(step - 1), true});
  }
  over = true;
  first.join();
  second.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace arcshard::shard
