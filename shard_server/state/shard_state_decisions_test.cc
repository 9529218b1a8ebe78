// Install, decisions and what follows an evaluation: which are recorded and which are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "common/protocol/lineage.h"
#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& part) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(part));
}

TEST(ShardStateDecisionsTest, Install_BeforeTheShardHasJoined_IsRefused) {
  TestRun run;
  ExpectError(run.state.Install(InstallOf(PlanOf(1))), absl::StatusCode::kFailedPrecondition, "joined no view yet");
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  ExpectError(run.state.Install(InstallOf(PlanOf(1))), absl::StatusCode::kFailedPrecondition,
              "view 1.2 was installed before this shard had joined it");
  run.RunAll();
  EXPECT_TRUE(run.state.Install(InstallOf(PlanOf(1))).ok());
}

TEST(ShardStateDecisionsTest, Install_Repeated_IsAcceptedAndWithOtherContentsRefused) {
  auto run = TestRun::InStep1();
  EXPECT_TRUE(run->state.Install(InstallOf(PlanOf(1))).ok());
  Next other = PlanOf(1);
  other.plan.first_sample = 99;
  ExpectError(run->state.Install(InstallOf(other)), absl::StatusCode::kFailedPrecondition,
              "was installed before with another first action");
  EXPECT_TRUE(run->SendStep(1).ok());
}

TEST(ShardStateDecisionsTest, Install_OfAnotherViewOrWithAnImpossiblePlan_IsRefused) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  run.RunAll();
  ExpectError(run.state.Install(InstallOf(PlanOf(1), {1, 3})), absl::StatusCode::kFailedPrecondition,
              "Install is of view 1.3, but this shard is in view 1.2");
  ExpectError(run.state.Install(InstallOf(PlanOf(2))), absl::StatusCode::kInvalidArgument,
              "step 1 is next, but the plan is of step 2");
  EXPECT_TRUE(run.state.Install(InstallOf(PlanOf(1))).ok());
}

TEST(ShardStateDecisionsTest, Install_MayBeginWithAnEvaluationOrAStop) {
  TestRun evaluation;
  ASSERT_TRUE(evaluation.Enter(TestView(), {NextAction::kEvaluate, {}}).ok());
  EXPECT_TRUE(evaluation.SendLabels(1, 0).ok()) << "it waits";
  ASSERT_TRUE(evaluation.state.Proceed(ProceedOf(PlanOf(1))).ok());
  EXPECT_TRUE(evaluation.SendStep(1).ok());

  TestRun stop;
  ASSERT_TRUE(stop.Enter(TestView(), {NextAction::kStop, {}}).ok());
  ExpectError(stop.SendLabels(1, 0), absl::StatusCode::kAborted, "the run has stopped");
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
  EXPECT_EQ(run->state.held().state, StatePoint());
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  EXPECT_EQ(run->state.held().state, (StatePoint{1, ExtendLineage(0, Commit(1))}));
  EXPECT_THAT(run->head.updates, SizeIs(0));
}

TEST(ShardStateDecisionsTest, LineagesOfDifferentDecisionsDiffer) {
  const uint64_t commit = ExtendLineage(0, Commit(1));
  EXPECT_EQ(commit, ExtendLineage(0, Commit(1)));
  EXPECT_NE(commit, ExtendLineage(0, Skip(1)));
  EXPECT_NE(commit, ExtendLineage(0, Commit(1, 0.25)));
  EXPECT_NE(commit, ExtendLineage(0, Commit(2)));
  EXPECT_NE(commit, ExtendLineage(ExtendLineage(0, Skip(1)), Commit(1)));
  Decision of_another_view = Commit(1);
  of_another_view.view = {1, 3};
  EXPECT_NE(commit, ExtendLineage(0, of_another_view));
}

TEST(ShardStateDecisionsTest, Decide_Repeated_IsAppliedOnce) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  EXPECT_TRUE(run->state.Decide(Commit(1)).ok());
  run->RunAll();
  EXPECT_TRUE(run->state.Decide(Commit(1)).ok());
  run->RunAll();
  EXPECT_THAT(run->head.updates, SizeIs(1));
  EXPECT_EQ(run->state.held().state, PointAfter(1));
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
  ASSERT_TRUE(run->TakePart(2).ok());
  ExpectError(run->state.Decide(Commit(1)), absl::StatusCode::kFailedPrecondition,
              "the decision of step 1 was received again after that of step 2");
}

TEST(ShardStateDecisionsTest, Decide_WithALineageThatDoesNotFollow_IsAnErrorThatNamesBoth) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  Decision decision = Commit(1);
  decision.lineage = 0xabc;
  ExpectError(run->state.Decide(decision), absl::StatusCode::kInternal, "with the lineage abc, but");
  ExpectError(run->state.Decide(decision), absl::StatusCode::kInternal,
              absl::StrCat("leads to ", absl::Hex(Commit(1).lineage)));
  EXPECT_EQ(run->state.held().state, StatePoint());
  EXPECT_TRUE(run->state.Decide(Commit(1)).ok());
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
  ExpectError(unjoined.state.Decide(Commit(1)), absl::StatusCode::kFailedPrecondition, "joined no view yet");
  ASSERT_TRUE(unjoined.state.JoinView(TestView(), &unjoined.head).ok());
  unjoined.RunAll();
  ExpectError(unjoined.state.Decide(Commit(1)), absl::StatusCode::kFailedPrecondition,
              "the decision of step 1 came before view 1.2 was installed on this shard");
}

TEST(ShardStateDecisionsTest, Decide_BeforeTheVote_IsRefused) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendLabels(1, 0).ok());
  ExpectError(run->state.Decide(Commit(1)), absl::StatusCode::kFailedPrecondition,
              "before this shard was ready for it");
  ExpectError(run->state.Decide(Skip(1)), absl::StatusCode::kFailedPrecondition, "before this shard was ready for it");
  EXPECT_EQ(run->state.held().state.step, 0u);
}

TEST(ShardStateDecisionsTest, Decide_WithAnImpossibleLearningRate_IsRefused) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  for (const double lr : {-0.5, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    ExpectError(run->state.Decide(Commit(1, lr)), absl::StatusCode::kInvalidArgument, "learning rate");
  }
  EXPECT_EQ(run->state.held().state.step, 0u);
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

TEST(ShardStateDecisionsTest, Proceed_WithoutAnEvaluation_IsRefused) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  ExpectError(run.state.Proceed(ProceedOf(PlanOf(1))), absl::StatusCode::kFailedPrecondition, "no evaluation");
  run.RunAll();
  ExpectError(run.state.Proceed(ProceedOf(PlanOf(1))), absl::StatusCode::kFailedPrecondition, "no evaluation");
  ASSERT_TRUE(run.state.Install(InstallOf(PlanOf(1))).ok());
  Next other = PlanOf(1);
  other.plan.first_sample = 99;
  ExpectError(run.state.Proceed(ProceedOf(other)), absl::StatusCode::kFailedPrecondition, "no evaluation");
  ExpectError(run.state.Proceed(ProceedOf(PlanOf(1), {1, 3})), absl::StatusCode::kFailedPrecondition, "view 1.3");
}

TEST(ShardStateDecisionsTest, Proceed_ToAStopBeforeInstall_IsIgnored) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  EXPECT_TRUE(run.state.Proceed(ProceedOf({NextAction::kStop, {}})).ok());
  run.RunAll();
  EXPECT_TRUE(run.state.Proceed(ProceedOf({NextAction::kStop, {}})).ok());
  EXPECT_TRUE(run.state.Install(InstallOf(PlanOf(1))).ok());
  EXPECT_TRUE(run.SendStep(1).ok());
}

TEST(ShardStateDecisionsTest, Proceed_ToAWrongStep_IsRefused) {
  TestRun run;
  ASSERT_TRUE(run.Enter(TestView(), {NextAction::kEvaluate, {}}).ok());
  ExpectError(run.state.Proceed(ProceedOf(PlanOf(2))), absl::StatusCode::kInvalidArgument, "step 1 is next");
  EXPECT_TRUE(run.state.Proceed(ProceedOf(PlanOf(1))).ok());
  EXPECT_TRUE(run.SendStep(1).ok());
}

TEST(ShardStateDecisionsTest, TheLatestCountersAreHeld_WhicheverMessageBroughtThem) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  run.RunAll();
  ASSERT_TRUE(run.state.Install({kView, PlanOf(1), {.skipped = 1}}).ok());
  EXPECT_EQ(run.state.held().counters.skipped, 1u);
  ASSERT_TRUE(run.SendStep(1).ok());
  Decision decision = Commit(1);
  decision.next = {NextAction::kEvaluate, {}};
  decision.counters.skipped = 2;
  ASSERT_TRUE(run.state.Decide(decision).ok());
  EXPECT_EQ(run.state.held().counters.skipped, 2u);
  ASSERT_TRUE(run.state.Proceed({kView, PlanOf(2), {.skipped = 3}}).ok());
  EXPECT_EQ(run.state.held().counters.skipped, 3u);
}

}  // namespace
}  // namespace arcshard::shard
