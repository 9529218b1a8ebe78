// Checkpoints: when they are taken, and a run that continues from one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  ASSERT_TRUE(other->state.Proceed(ProceedOf(next)).ok());
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
  ASSERT_TRUE(run->state.Proceed(ProceedOf({NextAction::kEvaluate, {}, true})).ok());
  run->RunAll();
  EXPECT_THAT(run->output.checkpoints, ElementsAre("view 1.2, step 1 after 1 applied"));
  ASSERT_TRUE(run->state.Proceed(ProceedOf(PlanOf(2))).ok());
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

TEST(ShardStateCheckpointTest, InstallMayAskForACheckpointOfTheViewsState) {
  TestRun run;
  Next next = PlanOf(1);
  next.checkpoint = true;
  ASSERT_TRUE(run.Enter(TestView(), next).ok());
  run.RunAll();
  EXPECT_THAT(run.output.checkpoints, ElementsAre("view 1.2, step 0 after 0 applied"));
  EXPECT_TRUE(run.SendStep(1).ok());
}

// A run that is resumed from the checkpoint of step 17.
class ResumedRun : public testing::Test {
 protected:
  void SetUp() override { run_.output.saved[17] = 1717; }
  ViewAnnouncement View17() const { return RollbackTo(kView, base_); }

  const StatePoint base_{17, 99};
  TestRun run_;
};

TEST_F(ResumedRun, ItRestoresTheCheckpointAndContinuesAfterItsStep) {
  ASSERT_TRUE(run_.state.JoinView(View17(), &run_.head).ok());
  EXPECT_THAT(run_.output.restored, IsEmpty());
  run_.RunAll();
  EXPECT_THAT(run_.output.restored, ElementsAre(17u));
  EXPECT_EQ(run_.head.state, 1717u);
  ASSERT_THAT(run_.output.joined, SizeIs(1));
  EXPECT_EQ(run_.output.joined[0].view, kView);
  EXPECT_EQ(run_.output.joined[0].state, base_);
  EXPECT_EQ(run_.state.held().state, base_);
  EXPECT_EQ(run_.state.held().last, std::nullopt);

  ASSERT_TRUE(run_.state.Install(InstallOf(PlanOf(18))).ok());
  ASSERT_TRUE(run_.SendStep(18).ok());
  EXPECT_THAT(run_.head.updates, IsEmpty());
  ASSERT_THAT(run_.output.votes, SizeIs(1));
  EXPECT_EQ(run_.output.votes[0].step, 18u);
  ASSERT_TRUE(run_.SendLabels(19, 0).ok()) << "it waits";
  const Decision decision = CommitOn(base_);
  ASSERT_TRUE(run_.state.Decide(WithCheckpoint(decision)).ok());
  run_.RunAll();
  EXPECT_EQ(run_.state.held().state, decision.after());
  EXPECT_THAT(run_.head.updates, SizeIs(1));
  EXPECT_THAT(run_.output.checkpoints, ElementsAre("view 1.2, step 18 after 1 applied"));
}

TEST_F(ResumedRun, AnEvaluationMayBeTheFirstThing) {
  ASSERT_TRUE(run_.state.JoinView(View17(), &run_.head).ok());
  run_.RunAll();
  ExpectError(run_.state.Proceed(ProceedOf(PlanOf(18))), absl::StatusCode::kFailedPrecondition,
              "no evaluation followed step 17");
  ASSERT_TRUE(run_.state.Install(InstallOf({NextAction::kEvaluate, {}})).ok());
  ASSERT_TRUE(run_.state.Proceed(ProceedOf(PlanOf(18))).ok());
  EXPECT_TRUE(run_.SendStep(18).ok());
}

TEST_F(ResumedRun, MessagesOfStepsBeforeTheCheckpointAreRefused_AlsoWhileItIsRestored) {
  ASSERT_TRUE(run_.state.JoinView(View17(), &run_.head).ok());
  for (int i = 0; i < 2; ++i) {
    ExpectError(run_.SendLabels(17, 0), absl::StatusCode::kFailedPrecondition,
                "was decided already: step 17 was the last");
    ExpectError(run_.SendLabels(19, 0), absl::StatusCode::kFailedPrecondition, "too early");
    EXPECT_TRUE(run_.SendLabels(18, 0).ok()) << "it waits";
    run_.RunAll();
  }
  ASSERT_TRUE(run_.state.Install(InstallOf(PlanOf(18))).ok());
  ExpectError(run_.SendLabels(17, 0), absl::StatusCode::kFailedPrecondition,
              "was decided already: step 17 was the last");
  EXPECT_TRUE(run_.SendLabels(19, 0).ok());
}

TEST_F(ResumedRun, ACheckpointThatCannotBeReadIsTheLastError) {
  run_.output.restore_failure = absl::DataLossError("the checkpoint is damaged");
  ASSERT_TRUE(run_.state.JoinView(View17(), &run_.head).ok());
  EXPECT_EQ(run_.state.RunOne().message(), "the checkpoint is damaged");
  EXPECT_THAT(run_.output.joined, IsEmpty());
}

}  // namespace
}  // namespace arcshard::shard
