// What the executor does between a shard's vote and the decision.

#include <limits>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// Has sent everything of step 1, and the executor has voted.
std::unique_ptr<TestRun> Voted(float gradient_off = 0.0f) {
  auto run = TestRun::InStep1(TestRun::OptionsWithLog(10));
  for (const uint32_t m : {0u, 1u, 2u}) EXPECT_TRUE(run->SendLabels(1, m).ok());
  for (const uint32_t m : {0u, 1u, 2u}) EXPECT_TRUE(run->SendEmbedding(1, m).ok());
  run->RunAll();
  for (const uint32_t m : {0u, 1u, 2u}) EXPECT_TRUE(run->SendGradient(TestRun::KeyOf(1, m), gradient_off).ok());
  EXPECT_TRUE(run->state.RunOne().ok());
  EXPECT_THAT(run->output.votes, SizeIs(1));
  return run;
}

TEST(ShardStateGradientTest, AShardThatHasVotedFormsTheGradientOnce) {
  auto run = Voted();
  run->RunAll();
  EXPECT_THAT(run->head.gradients, ElementsAre(1u));
  EXPECT_EQ(run->head.gradient_blocks, 1000) << "nothing else was to be done";
  EXPECT_FALSE(run->state.HasWork());
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  run->RunAll();
  EXPECT_THAT(run->head.updates, ElementsAre("lr 0.5 | 1:0 2:1 3:2"));
  ASSERT_TRUE(run->SendStep(2).ok());
  EXPECT_THAT(run->head.gradients, ElementsAre(1u, 1u));
}

TEST(ShardStateGradientTest, ADecisionThatIsThereAlreadyIsAppliedAtOnce) {
  auto run = Voted();
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  run->RunAll();
  EXPECT_THAT(run->head.gradients, IsEmpty());
  EXPECT_THAT(run->head.updates, SizeIs(1));
}

TEST(ShardStateGradientTest, ADecisionThatComesMeanwhileEndsIt) {
  auto run = Voted();
  run->head.during_gradient = [&] { ASSERT_TRUE(run->state.Decide(Commit(1)).ok()); };
  run->RunAll();
  EXPECT_THAT(run->head.gradients, ElementsAre(1u));
  EXPECT_EQ(run->head.gradient_blocks, 0);
  EXPECT_THAT(run->head.updates, ElementsAre("lr 0.5 | 1:0 2:1 3:2"));
}

TEST(ShardStateGradientTest, AViewThatComesMeanwhileEndsItAndTheStepIsDiscarded) {
  auto run = Voted();
  run->head.during_gradient = [&] { ASSERT_TRUE(run->state.JoinView(RollbackTo({1, 3}, {}), &run->head).ok()); };
  run->RunAll();
  EXPECT_EQ(run->head.gradient_blocks, 0);
  EXPECT_THAT(run->head.updates, ElementsAre("discard"));
  EXPECT_FALSE(run->head.in_a_step);
}

TEST(ShardStateGradientTest, AnAnswerThatIsAskedForAgainGoesFirst) {
  auto run = Voted();
  run->head.during_gradient = [&] { ASSERT_TRUE(run->SendEmbedding(1, 1).ok()); };
  const size_t sent = run->output.sent.size();
  run->RunAll();
  EXPECT_EQ(run->head.gradient_blocks, 0);
  EXPECT_THAT(run->output.sent, SizeIs(sent + 1));
}

TEST(ShardStateGradientTest, AStepThatIsNotFiniteHasNone) {
  auto run = Voted(std::numeric_limits<float>::quiet_NaN());
  run->RunAll();
  EXPECT_FALSE(run->output.votes[0].finite);
  EXPECT_THAT(run->head.gradients, IsEmpty());
}

TEST(ShardStateGradientTest, ItsTimeCountsAsPartOfPassTwoForTheReplay) {
  auto run = Voted();
  run->head.gradient = absl::Seconds(3);
  run->head.pass_2 = absl::Seconds(1);
  run->RunAll();
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  run->RunAll();
  EXPECT_EQ(run->state.load().replay_seconds, 4.0);
}

TEST(ShardStateGradientTest, AnErrorOfTheHeadIsFinal) {
  auto run = Voted();
  run->head.failure = absl::InternalError("the device is lost");
  EXPECT_EQ(run->state.RunOne().message(), "the device is lost");
}

}  // namespace
}  // namespace arcshard::shard
