// A range from its view through steps and decisions to the end.
#include "shard_server/state/shard_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST(ShardStateTest, AStepGivesStatisticsThenAVoteThenAnUpdate) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  EXPECT_THAT(run->output.sent, ElementsAre("worker 0 step 1 micro-batch 0", "worker 7 step 1 micro-batch 1",
                                            "worker 0 step 1 micro-batch 2"));
  ASSERT_THAT(run->output.votes, SizeIs(1));
  EXPECT_EQ(run->output.votes[0].view, kView);
  EXPECT_EQ(run->output.votes[0].step, 1u);
  EXPECT_TRUE(run->output.votes[0].finite);
  EXPECT_THAT(run->head.updates, IsEmpty());

  ASSERT_TRUE(run->state.Decide(Commit(1, 0.25)).ok());
  EXPECT_THAT(run->head.updates, IsEmpty());
  run->RunAll();
  EXPECT_THAT(run->head.begun, ElementsAre("step 1: "));
  EXPECT_THAT(run->head.updates, ElementsAre("lr 0.25 | 1:0 2:1 3:2"));
  EXPECT_THAT(run->output.applied, ElementsAre(1u));
}

TEST(ShardStateTest, StatisticsCarryOnlyTheCentersThatAreOwned) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendLabels(1, 0).ok());  // labels 1 and 3: the second lies in [2, 6)
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
  run->RunAll();
  EXPECT_THAT(run->output.z, ElementsAre(4.0f, 4.0f));
  EXPECT_THAT(run->output.u, SizeIs(2 * kDim));
  EXPECT_THAT(run->output.own_rows, ElementsAre(1u));
  EXPECT_THAT(run->output.own_centers, ElementsAre(3.0f, 3.0f, 3.0f));
}

TEST(ShardStateTest, WhatIsQueuedTogetherIsOneGroup) {
  auto run = TestRun::InStep1();
  for (const uint32_t m : {2u, 1u, 0u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  for (const uint32_t m : {2u, 1u}) ASSERT_TRUE(run->SendEmbedding(1, m).ok());
  run->RunAll();
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
  run->RunAll();
  EXPECT_THAT(run->head.group_sizes, ElementsAre(2u, 1u));
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendGradient(1, m).ok());
  run->RunAll();
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  run->RunAll();
  EXPECT_THAT(run->head.updates, ElementsAre("lr 0.5 | 3:2 2:1 | 1:0"));
}

TEST(ShardStateTest, DeterministicTakesOneMicroBatchAtATimeInOrder) {
  ShardState::Options options = TestRun::DefaultOptions();
  options.deterministic = true;
  auto run = TestRun::InStep1(options);
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  for (const uint32_t m : {2u, 1u}) ASSERT_TRUE(run->SendEmbedding(1, m).ok());
  EXPECT_FALSE(run->state.HasWork());  // micro-batch 0 goes first
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
  run->RunAll();
  EXPECT_THAT(run->output.sent, ElementsAre("worker 0 step 1 micro-batch 0", "worker 7 step 1 micro-batch 1",
                                            "worker 0 step 1 micro-batch 2"));
  EXPECT_THAT(run->head.group_sizes, ElementsAre(1u, 1u, 1u));
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendGradient(1, m).ok());
  run->RunAll();
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  run->RunAll();
  EXPECT_THAT(run->head.updates, ElementsAre("lr 0.5 | 1:0 | 2:1 | 3:2"));
}

TEST(ShardStateTest, PassOneOfTheNextStepRunsAfterTheUpdate) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  ASSERT_TRUE(run->SendLabels(2, 0).ok());
  ASSERT_TRUE(run->SendEmbedding(2, 0).ok());
  ASSERT_TRUE(run->state.RunOne().ok());
  EXPECT_THAT(run->head.updates, SizeIs(1));
  EXPECT_THAT(run->head.group_sizes, SizeIs(1));
  run->RunAll();
  EXPECT_THAT(run->head.group_sizes, SizeIs(2));
}

TEST(ShardStateTest, ASkipDiscardsTheStepAndTheNextOneFollows) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(Skip(1)).ok());
  ASSERT_TRUE(run->SendStep(2).ok());
  ASSERT_TRUE(run->state.Decide(CommitOn(Skip(1).after())).ok());
  run->RunAll();
  EXPECT_THAT(run->head.updates, ElementsAre("discard", "lr 0.5 | 1:0 2:1 3:2"));
}

TEST(ShardStateTest, ANaNInAnEmbeddingIsComputedWithAndReportedInTheVote) {
  auto run = TestRun::InStep1();
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  std::vector<float> embedding = EmbeddingOf(1, 1);
  embedding[4] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_TRUE(run->SendEmbedding(TestRun::KeyOf(1, 1), embedding).ok());
  for (const uint32_t m : {0u, 2u}) ASSERT_TRUE(run->SendEmbedding(1, m).ok());
  run->RunAll();
  // A repeat with the same NaN is the same message.
  EXPECT_TRUE(run->SendEmbedding(TestRun::KeyOf(1, 1), embedding).ok());
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendGradient(1, m).ok());
  run->RunAll();
  ASSERT_THAT(run->output.votes, SizeIs(1));
  EXPECT_FALSE(run->output.votes[0].finite);
  EXPECT_EQ(run->output.votes[0].reason, "the embedding of micro-batch 1 from worker 7 is not finite");
}

TEST(ShardStateTest, AnInfiniteGradientIsReportedInTheVoteOfItsStepOnly) {
  auto run = TestRun::InStep1();
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendEmbedding(1, m).ok());
  run->RunAll();
  ASSERT_TRUE(run->SendGradient(TestRun::KeyOf(1, 0), std::numeric_limits<float>::infinity()).ok());
  for (const uint32_t m : {1u, 2u}) ASSERT_TRUE(run->SendGradient(1, m).ok());
  run->RunAll();
  EXPECT_EQ(run->output.votes.at(0).reason, "the gradient of micro-batch 0 from worker 0 is not finite");
  ASSERT_TRUE(run->state.Decide(Skip(1)).ok());
  ASSERT_TRUE(run->SendStep(2).ok());
  EXPECT_TRUE(run->output.votes.at(1).finite);
  EXPECT_EQ(run->output.votes.at(1).reason, "");
}

TEST(ShardStateTest, ASumThatOverflowsIsNotFinite) {
  auto run = TestRun::InStep1();
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  ASSERT_TRUE(run->SendEmbedding(TestRun::KeyOf(1, 0), std::vector<float>(6, std::numeric_limits<float>::max())).ok());
  for (const uint32_t m : {1u, 2u}) ASSERT_TRUE(run->SendEmbedding(1, m).ok());
  run->RunAll();
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendGradient(1, m).ok());
  run->RunAll();
  EXPECT_EQ(run->output.votes.at(0).reason, "the sum over negatives (z) of micro-batch 0 from worker 0 is not finite");
}

TEST(ShardStateTest, AnEvaluationConsumesNoStep) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  Decision decision = Commit(1);
  decision.next = {NextAction::kEvaluate, {}};
  ASSERT_TRUE(run->state.Decide(decision).ok());
  EXPECT_TRUE(run->SendLabels(2, 0).ok());  // from a worker that has received the next message already
  EXPECT_TRUE(run->SendEmbedding(2, 0).ok());
  run->RunAll();
  EXPECT_THAT(run->head.group_sizes, SizeIs(1));
  ASSERT_TRUE(run->state.Proceed(ProceedOf(PlanOf(2))).ok());
  run->RunAll();
  EXPECT_THAT(run->head.group_sizes, SizeIs(2));
  EXPECT_TRUE(run->state.Proceed(ProceedOf(PlanOf(2))).ok());  // a repeat
  EXPECT_TRUE(run->SendStep(2).ok());
  EXPECT_THAT(run->output.votes, SizeIs(2));
}

TEST(ShardStateTest, AfterAStopTheLastUpdateIsAppliedAndMessagesAreAborted) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  Decision decision = Commit(1);
  decision.next = {NextAction::kStop, {}};
  ASSERT_TRUE(run->state.Decide(decision).ok());
  run->state.Close();
  EXPECT_TRUE(run->state.WaitForWork());
  run->RunAll();
  EXPECT_FALSE(run->state.WaitForWork());
  EXPECT_THAT(run->output.applied, ElementsAre(1u));
  EXPECT_EQ(run->SendLabels(2, 0).code(), absl::StatusCode::kAborted);
}

TEST(ShardStateTest, AFailingHeadEndsTheWorkWithItsError) {
  auto run = TestRun::InStep1();
  run->head.failure = absl::InternalError("the device is lost");
  ASSERT_TRUE(run->SendLabels(1, 0).ok());
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
  EXPECT_EQ(run->state.RunOne().message(), "the device is lost");
  EXPECT_THAT(run->output.sent, IsEmpty());
}

TEST(ShardStateTest, AShardWithoutClassesTakesPartInEveryStep) {
  TestRun run;
  run.head.set_range({2, 2});
  ViewAnnouncement view = TestView();
  view.shards[1].range = {2, 2};
  view.shards[2].range = {2, 10};
  ASSERT_TRUE(run.Enter(view, PlanOf(1)).ok());
  ASSERT_TRUE(run.SendStep(1).ok());
  EXPECT_THAT(run.output.own_rows, IsEmpty());
  EXPECT_THAT(run.output.votes, SizeIs(1));
  EXPECT_TRUE(run.state.Decide(Commit(1)).ok());
}

TEST(ShardStateTest, BuffersAreReusedAfterTheFirstTwoSteps) {
  auto run = TestRun::InStep1();
  for (uint64_t step = 1; step <= 2; ++step) {
    ASSERT_TRUE(run->SendStep(step).ok());
    ASSERT_TRUE(run->state.Decide(Commit(step)).ok());
  }
  const std::set<const float*> first(run->head.buffers.begin(), run->head.buffers.end());
  run->head.buffers.clear();
  for (uint64_t step = 3; step <= 10; ++step) {
    ASSERT_TRUE(run->SendStep(step).ok());
    ASSERT_TRUE(run->state.Decide(Commit(step)).ok());
  }
  EXPECT_EQ(std::set<const float*>(run->head.buffers.begin(), run->head.buffers.end()), first);
}

}  // namespace
}  // namespace arcshard::shard
