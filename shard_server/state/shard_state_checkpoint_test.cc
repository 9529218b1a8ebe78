// Checkpoints: when they are taken, and a run that continues from one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shard_server/state/lineage.h"
#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& part) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(part));
}

Decision WithCheckpoint(Decision decision, NextAction action = NextAction::kStep) {
  decision.next.action = action;
  decision.next.checkpoint = true;
  return decision;
}

ViewAnnouncement ViewFrom(uint64_t step) {
  ViewAnnouncement view = TestView();
  view.last_decided_step = step;
  view.checkpoint = "RUN/checkpoints/step-00000017.1";
  return view;
}

TEST(ShardStateCheckpointTest, ACheckpointIsTakenAfterTheUpdateAndBeforeTheNextStep) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(WithCheckpoint(Commit(1))).ok());
  ASSERT_TRUE(run->SendLabels(2, 0).ok());
  ASSERT_TRUE(run->SendEmbedding(2, 0).ok());
  const size_t sent = run->output.sent.size();
  EXPECT_THAT(run->output.checkpoints, IsEmpty());
  ASSERT_TRUE(run->state.RunOne().ok());
  EXPECT_THAT(run->output.applied, ElementsAre(1));
  EXPECT_THAT(run->output.checkpoints, IsEmpty());
  ASSERT_TRUE(run->state.RunOne().ok());
  EXPECT_THAT(run->output.checkpoints, ElementsAre("view 1.2, step 1 after 1 applied"));
  EXPECT_THAT(run->output.sent, SizeIs(sent));
  run->RunAll();
  EXPECT_THAT(run->output.sent, SizeIs(sent + 1));
  EXPECT_THAT(run->output.checkpoints, SizeIs(1));
}

TEST(ShardStateCheckpointTest, ARepeatedDecisionTakesNoSecondCheckpoint) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(WithCheckpoint(Commit(1))).ok());
  run->RunAll();
  ASSERT_TRUE(run->state.Decide(WithCheckpoint(Commit(1))).ok());
  run->RunAll();
  EXPECT_THAT(run->output.checkpoints, SizeIs(1));
}

TEST(ShardStateCheckpointTest, ASkippedStepsCheckpointIsOfTheStateThatItLeft) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(WithCheckpoint(Skip(1))).ok());
  run->RunAll();
  EXPECT_THAT(run->head.updates, ElementsAre("discard"));
  EXPECT_THAT(run->output.checkpoints, ElementsAre("view 1.2, step 1 after 1 applied"));
}

TEST(ShardStateCheckpointTest, ACheckpointMayBeAskedForWithAnEvaluationAndWithTheMessageToProceed) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(WithCheckpoint(Commit(1), NextAction::kEvaluate)).ok());
  run->RunAll();
  EXPECT_THAT(run->output.checkpoints, ElementsAre("view 1.2, step 1 after 1 applied"));

  auto other = TestRun::InStep1();
  ASSERT_TRUE(other->SendStep(1).ok());
  Decision decision = Commit(1);
  decision.next.action = NextAction::kEvaluate;
  ASSERT_TRUE(other->state.Decide(decision).ok());
  other->RunAll();
  Next next = PlanOf(2);
  next.checkpoint = true;
  ASSERT_TRUE(other->state.Proceed(kView, next).ok());
  other->RunAll();
  EXPECT_THAT(other->output.checkpoints, ElementsAre("view 1.2, step 1 after 1 applied"));
  EXPECT_TRUE(other->SendStep(2).ok());
}

TEST(ShardStateCheckpointTest, ACheckpointMayBeAskedForDuringAnEvaluation) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  Decision decision = Commit(1);
  decision.next.action = NextAction::kEvaluate;
  ASSERT_TRUE(run->state.Decide(decision).ok());
  run->RunAll();
  ASSERT_TRUE(run->state.Proceed(kView, {NextAction::kEvaluate, {}, true}).ok());
  run->RunAll();
  EXPECT_THAT(run->output.checkpoints, ElementsAre("view 1.2, step 1 after 1 applied"));
  ASSERT_TRUE(run->state.Proceed(kView, PlanOf(2)).ok());
  EXPECT_TRUE(run->SendStep(2).ok());
}

TEST(ShardStateCheckpointTest, TheLastCheckpointIsTakenBeforeTheStateIsClosed) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(WithCheckpoint(Commit(1), NextAction::kStop)).ok());
  run->state.Close();
  while (run->state.WaitForWork()) ASSERT_TRUE(run->state.RunOne().ok());
  EXPECT_THAT(run->output.checkpoints, ElementsAre("view 1.2, step 1 after 1 applied"));
}

TEST(ShardStateCheckpointTest, ARunContinuesAfterTheStepOfItsView) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(ViewFrom(17), &run.head).ok());
  EXPECT_FALSE(run.state.decided().started);
  EXPECT_FALSE(run.state.HasWork());
  ASSERT_TRUE(run.state.Decide(Commit(17, 0.0)).ok());
  EXPECT_TRUE(run.state.decided().started);
  EXPECT_EQ(run.state.decided().step, 17u);
  EXPECT_EQ(run.state.decided().lineage, ExtendLineage(0, Commit(17, 0.0)));
  EXPECT_TRUE(run.state.Decide(Commit(17, 0.0)).ok());
  ASSERT_TRUE(run.SendStep(18).ok());
  EXPECT_THAT(run.head.updates, IsEmpty());
  EXPECT_THAT(run.output.votes, SizeIs(1));
  EXPECT_EQ(run.output.votes[0].step, 18u);
  ASSERT_TRUE(run.SendLabels(19, 0).ok()) << "it waits";
  ASSERT_TRUE(run.state.Decide(WithCheckpoint(Commit(18))).ok());
  run.RunAll();
  EXPECT_THAT(run.head.updates, SizeIs(1));
  EXPECT_THAT(run.output.checkpoints, ElementsAre("view 1.2, step 18 after 1 applied"));
}

TEST(ShardStateCheckpointTest, AnEvaluationMayBeTheFirstThingAfterACheckpoint) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(ViewFrom(17), &run.head).ok());
  ExpectError(run.state.Proceed(kView, PlanOf(18)), absl::StatusCode::kFailedPrecondition,
              "no evaluation followed step 17");
  Decision first = Commit(17);
  first.next.action = NextAction::kEvaluate;
  ASSERT_TRUE(run.state.Decide(first).ok());
  ASSERT_TRUE(run.state.Proceed(kView, PlanOf(18)).ok());
  EXPECT_TRUE(run.SendStep(18).ok());
}

TEST(ShardStateCheckpointTest, TheFirstDecisionIsOfTheStepOfTheViewAndACommit) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(ViewFrom(17), &run.head).ok());
  for (const uint64_t step : {0, 16, 18}) {
    ExpectError(run.state.Decide(Commit(step)), absl::StatusCode::kFailedPrecondition,
                "view 1.2 continues after step 17");
  }
  ExpectError(run.state.Decide(Skip(17)), absl::StatusCode::kInvalidArgument, "of step 17, must be a commit");
  EXPECT_TRUE(run.state.Decide(Commit(17)).ok());
}

TEST(ShardStateCheckpointTest, MessagesOfStepsBeforeTheCheckpointAreRefused) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(ViewFrom(17), &run.head).ok());
  ExpectError(run.SendLabels(17, 0), absl::StatusCode::kFailedPrecondition,
              "was decided already: step 17 was the last");
  ExpectError(run.SendLabels(19, 0), absl::StatusCode::kFailedPrecondition, "too early");
  EXPECT_TRUE(run.SendLabels(18, 0).ok()) << "it waits for the first decision";
  ASSERT_TRUE(run.state.Decide(Commit(17)).ok());
  ExpectError(run.SendLabels(17, 0), absl::StatusCode::kFailedPrecondition,
              "was decided already: step 17 was the last");
}

}  // namespace
}  // namespace arcshard::shard
