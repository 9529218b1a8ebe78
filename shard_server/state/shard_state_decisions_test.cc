// Views and decisions: which are recorded and which are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "shard_server/state/lineage.h"
#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& part) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(part));
}

TEST(ShardStateDecisionsTest, JoinView_Repeated_IsAccepted) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  EXPECT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
}

TEST(ShardStateDecisionsTest, JoinView_OfASecondView_IsRefused) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  ViewAnnouncement second = TestView();
  second.view.counter = 3;
  ExpectError(run.state.JoinView(second, &run.head), absl::StatusCode::kFailedPrecondition,
              "view 1.3 was announced, but this shard is in view 1.2");
}

TEST(ShardStateDecisionsTest, JoinView_ThatDisagreesWithTheShard_IsRefused) {
  TestRun run;
  ViewAnnouncement other_range = TestView();
  other_range.shards[1].range = {2, 7};
  ExpectError(run.state.JoinView(other_range, &run.head), absl::StatusCode::kInvalidArgument,
              "gives classes [2, 7) of 10, 3 dimensions, but the head holds [2, 6) of 10, 3 dimensions");
  ViewAnnouncement without = TestView();
  without.shards.erase(without.shards.begin() + 1);
  ExpectError(run.state.JoinView(without, &run.head), absl::StatusCode::kInvalidArgument, "does not name shard 1");
  ViewAnnouncement no_workers = TestView();
  no_workers.workers.clear();
  ExpectError(run.state.JoinView(no_workers, &run.head), absl::StatusCode::kInvalidArgument, "no workers");
  ViewAnnouncement later = TestView();
  later.last_decided_step = 4;
  ExpectError(run.state.JoinView(later, &run.head), absl::StatusCode::kFailedPrecondition, "continues after step 4");
  EXPECT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
}

TEST(ShardStateDecisionsTest, Hello_OfAMemberOrOfAViewToCome_IsAccepted) {
  auto run = TestRun::InStep1();
  EXPECT_TRUE(run->state.Hello(7, kView).ok());
  EXPECT_TRUE(run->state.Hello(9, {1, 3}).ok());
  ExpectError(run->state.Hello(1, kView), absl::StatusCode::kInvalidArgument, "view 1.2 has no worker 1");
  ExpectError(run->state.Hello(7, {1, 1}), absl::StatusCode::kFailedPrecondition,
              "view 1.1, but this shard is in view 1.2");
  TestRun unjoined;
  EXPECT_TRUE(unjoined.state.Hello(7, kView).ok());
}

TEST(ShardStateDecisionsTest, DecisionsAreRecordedBeforeAnythingChanges) {
  auto run = TestRun::InStep1();
  const uint64_t after_0 = ExtendLineage(0, Commit(0));
  EXPECT_EQ(run->state.decided().lineage, after_0);
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  EXPECT_EQ(run->state.decided().step, 1u);
  EXPECT_EQ(run->state.decided().lineage, ExtendLineage(after_0, Commit(1)));
  EXPECT_THAT(run->head.updates, SizeIs(0));
}

TEST(ShardStateDecisionsTest, LineagesOfDifferentDecisionsDiffer) {
  const uint64_t commit = ExtendLineage(0, Commit(1));
  EXPECT_EQ(commit, ExtendLineage(0, Commit(1)));
  EXPECT_NE(commit, ExtendLineage(0, Skip(1)));
  EXPECT_NE(commit, ExtendLineage(0, Commit(1, 0.25)));
  EXPECT_NE(commit, ExtendLineage(0, Commit(2)));
  EXPECT_NE(commit, ExtendLineage(ExtendLineage(0, Commit(0)), Commit(1)));
}

TEST(ShardStateDecisionsTest, Decide_Repeated_IsAppliedOnce) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  const uint64_t lineage = run->state.decided().lineage;
  EXPECT_TRUE(run->state.Decide(Commit(1)).ok());
  run->RunAll();
  EXPECT_TRUE(run->state.Decide(Commit(1)).ok());
  run->RunAll();
  EXPECT_THAT(run->head.updates, SizeIs(1));
  EXPECT_EQ(run->state.decided().lineage, lineage);
}

TEST(ShardStateDecisionsTest, Decide_WithOtherContents_AlreadyExists) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  ExpectError(run->state.Decide(Skip(1)), absl::StatusCode::kAlreadyExists,
              "the decision of step 1 was received before with other contents");
}

TEST(ShardStateDecisionsTest, Decide_OutOfOrder_IsRefused) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ExpectError(run->state.Decide(Commit(2)), absl::StatusCode::kFailedPrecondition,
              "the decision of step 2 was received, but step 1 is the next to be decided");
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  ExpectError(run->state.Decide(Commit(0)), absl::StatusCode::kFailedPrecondition,
              "the decision of step 0 was received again after that of step 1");
}

TEST(ShardStateDecisionsTest, Decide_OfAnotherView_IsRefused) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  Decision decision = Commit(1);
  decision.view = {1, 1};
  ExpectError(run->state.Decide(decision), absl::StatusCode::kFailedPrecondition,
              "the decision of step 1 is of view 1.1, but this shard is in view 1.2");
  decision.view = {2, 1};
  ExpectError(run->state.Decide(decision), absl::StatusCode::kFailedPrecondition, "view 2.1");
  TestRun unjoined;
  ExpectError(unjoined.state.Decide(Commit(0)), absl::StatusCode::kFailedPrecondition, "joined no view yet");
}

TEST(ShardStateDecisionsTest, Decide_BeforeTheVote_IsRefused) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendLabels(1, 0).ok());
  ExpectError(run->state.Decide(Commit(1)), absl::StatusCode::kFailedPrecondition,
              "before this shard was ready for it");
  ExpectError(run->state.Decide(Skip(1)), absl::StatusCode::kFailedPrecondition, "before this shard was ready for it");
  EXPECT_EQ(run->state.decided().step, 0u);
}

TEST(ShardStateDecisionsTest, Decide_WithAnImpossibleLearningRate_IsRefused) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  for (const double lr : {-0.5, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    ExpectError(run->state.Decide(Commit(1, lr)), absl::StatusCode::kInvalidArgument, "learning rate");
  }
  EXPECT_EQ(run->state.decided().step, 0u);
}

TEST(ShardStateDecisionsTest, Decide_WithAnImpossiblePlan_IsRefused) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  Decision decision = Commit(1);
  decision.next = PlanOf(3);
  ExpectError(run->state.Decide(decision), absl::StatusCode::kInvalidArgument,
              "step 2 is next, but the plan is of step 3");
  decision = Commit(1);
  decision.next.plan.micro_batch_sizes = {2, 0, 1};
  ExpectError(run->state.Decide(decision), absl::StatusCode::kInvalidArgument,
              "micro-batch 1 of the plan of step 2 is empty");
  decision.next.plan.micro_batch_sizes = {2, 4};
  ExpectError(run->state.Decide(decision), absl::StatusCode::kInvalidArgument, "6 samples, outside [1, 5]");
  decision.next.plan.micro_batch_sizes = {4294967295u, 3};  // would wrap around in 32 bits
  ExpectError(run->state.Decide(decision), absl::StatusCode::kInvalidArgument, "outside [1, 5]");
  decision.next.plan.micro_batch_sizes = {};
  ExpectError(run->state.Decide(decision), absl::StatusCode::kInvalidArgument, "0 samples");
}

TEST(ShardStateDecisionsTest, Step0_CannotBeSkipped) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  ExpectError(run.state.Decide(Skip(0)), absl::StatusCode::kInvalidArgument, "step 0");
}

TEST(ShardStateDecisionsTest, Proceed_WithoutAnEvaluation_IsRefused) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  ExpectError(run.state.Proceed(kView, PlanOf(1)), absl::StatusCode::kFailedPrecondition, "no evaluation");
  ASSERT_TRUE(run.state.Decide(Commit(0)).ok());
  Next other = PlanOf(1);
  other.plan.first_sample = 99;
  ExpectError(run.state.Proceed(kView, other), absl::StatusCode::kFailedPrecondition, "no evaluation");
  ExpectError(run.state.Proceed({1, 3}, PlanOf(1)), absl::StatusCode::kFailedPrecondition, "view 1.3");
}

TEST(ShardStateDecisionsTest, Proceed_ToAWrongStep_IsRefused) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  Decision start = Commit(0);
  start.next = {NextAction::kEvaluate, {}};
  ASSERT_TRUE(run.state.Decide(start).ok());
  ExpectError(run.state.Proceed(kView, PlanOf(2)), absl::StatusCode::kInvalidArgument, "step 1 is next");
  EXPECT_TRUE(run.state.Proceed(kView, PlanOf(1)).ok());
  EXPECT_TRUE(run.SendStep(1).ok());
}

}  // namespace
}  // namespace arcshard::shard
