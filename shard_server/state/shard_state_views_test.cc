// A further view: what becomes of the step in progress, of decisions, checkpoints and messages, and what is held.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr View kSecond{1, 3};
constexpr View kThird{2, 1};

void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& part) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(part));
}

Decision WithCheckpoint(Decision decision) {
  decision.next.checkpoint = true;
  return decision;
}

// The head's state after so many steps of an undisturbed run.
uint64_t Undisturbed(uint64_t steps) {
  auto run = TestRun::InStep1();
  EXPECT_TRUE(run->TakePart(steps).ok());
  return run->head.state;
}

// --- Announcements

TEST(ShardStateViewsTest, JoinView_Repeated_IsAccepted) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  EXPECT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  run.RunAll();
  EXPECT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  run.RunAll();
  EXPECT_THAT(run.output.joined, SizeIs(1));
}

TEST(ShardStateViewsTest, JoinView_OfAnOlderView_IsRefused) {
  auto run = TestRun::InStep1();
  ExpectError(run->state.JoinView(RollbackTo({1, 1}, {}), &run->head), absl::StatusCode::kFailedPrecondition,
              "view 1.1 was announced, but this shard is in view 1.2");
  ExpectError(run->state.JoinView(RollbackTo({0, 9}, {}), &run->head), absl::StatusCode::kFailedPrecondition,
              "view 0.9 was announced");
  EXPECT_TRUE(run->SendStep(1).ok());
}

TEST(ShardStateViewsTest, JoinView_OfTheSameViewWithOtherContents_AlreadyExists) {
  auto run = TestRun::InStep1();
  ViewAnnouncement other = TestView();
  other.workers.pop_back();
  ExpectError(run->state.JoinView(other, &run->head), absl::StatusCode::kAlreadyExists,
              "view 1.2 was announced before with other members or another state");
  EXPECT_TRUE(run->SendStep(1).ok());
}

TEST(ShardStateViewsTest, JoinView_ThatDisagreesWithTheShard_IsRefused) {
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
  EXPECT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
}

TEST(ShardStateViewsTest, JoinView_WhosePointsContradictOneAnother_IsRefused) {
  TestRun run;
  const absl::StatusCode invalid = absl::StatusCode::kInvalidArgument;
  ViewAnnouncement not_led_to = ViewAfter(kView, Commit(4));
  not_led_to.state.lineage += 1;
  ExpectError(run.state.JoinView(not_led_to, &run.head), invalid, "to which its last decision does not lead");
  ViewAnnouncement no_decision = ViewAfter(kView, Commit(4));
  no_decision.last.reset();
  ExpectError(run.state.JoinView(no_decision, &run.head), invalid, "to which its last decision does not lead");
  ExpectError(run.state.JoinView(ViewAfter(kView, Commit(4), PointAfter(5)), &run.head), invalid,
              "view 1.2 goes on from the state after step 4, which does not follow its base after step 5");
  ExpectError(run.state.JoinView(ViewAfter(kView, Commit(4), {4, 99}), &run.head), invalid, "does not follow its base");
  ViewAnnouncement no_folder = ViewAfter(kView, Commit(4), PointAfter(2));
  no_folder.checkpoint.clear();
  ExpectError(run.state.JoinView(no_folder, &run.head), invalid, "names no checkpoint for its base after step 2");
  EXPECT_TRUE(run.state.JoinView(ViewAfter(kView, Commit(4), PointAfter(4)), &run.head).ok());
}

TEST(ShardStateViewsTest, TheFirstViewOfARunRestoresTheFirstWeights) {
  TestRun run;
  run.head.state = 5;  // what the head holds before counts for nothing
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  EXPECT_FALSE(run.state.held().whole);
  run.RunAll();
  EXPECT_THAT(run.output.restored, ElementsAre(0u));
  EXPECT_EQ(run.head.state, 0u);
  EXPECT_THAT(run.output.joined, SizeIs(1));
  EXPECT_TRUE(run.state.held().whole);
}

// --- The undecided step

class VoidStepTest : public testing::TestWithParam<int> {
 protected:
  // Step 2, after so many of its stages.
  std::unique_ptr<TestRun> InStep2() {
    auto run = TestRun::InStep1();
    EXPECT_TRUE(run->TakePart(1).ok());
    const int stages = GetParam();
    for (uint32_t m = 0; stages >= 1 && m < 3; ++m) EXPECT_TRUE(run->SendLabels(2, m).ok());
    for (uint32_t m = 0; stages >= 2 && m < 3; ++m) EXPECT_TRUE(run->SendEmbedding(2, m).ok());
    if (stages >= 3) run->RunAll();
    for (uint32_t m = 0; stages >= 4 && m < 3; ++m) EXPECT_TRUE(run->SendGradient(2, m).ok());
    if (stages >= 5) run->RunAll();
    return run;
  }
};

TEST_P(VoidStepTest, IsDiscardedAndComputedAgainUnderTheNewView) {
  auto run = InStep2();
  ASSERT_TRUE(run->state.JoinView(ViewAfter(kSecond, Commit(1)), &run->head).ok());
  EXPECT_EQ(run->state.held().state, PointAfter(1));
  EXPECT_EQ(run->state.held().voted_step, 0u);
  run->RunAll();
  EXPECT_FALSE(run->head.in_a_step);
  ASSERT_THAT(run->output.joined, SizeIs(2));
  EXPECT_EQ(run->output.joined[1].view, kSecond);
  EXPECT_EQ(run->output.joined[1].state, PointAfter(1));
  EXPECT_EQ(run->output.joined[1].replayed_steps, 0u);
  EXPECT_EQ(run->output.joined[1].rebuilt_in_seconds, 0.0);
  EXPECT_THAT(run->output.restored, SizeIs(1)) << "by the first view";
  EXPECT_THAT(run->output.requests, IsEmpty());

  run->output.votes.clear();
  ASSERT_TRUE(run->state.Install(InstallOf(PlanOf(2), kSecond)).ok());
  ASSERT_TRUE(run->SendStep(2, kSecond).ok());
  ASSERT_THAT(run->output.votes, SizeIs(1));
  EXPECT_EQ(run->output.votes[0].view, kSecond);
  EXPECT_EQ(run->output.votes[0].step, 2u);
  ASSERT_TRUE(run->state.Decide(CommitOn(PointAfter(1), 0.5, kSecond)).ok());
  run->RunAll();
  EXPECT_EQ(run->head.state, Undisturbed(2));
  EXPECT_EQ(run->state.load().log_steps, 2u);
}

TEST_P(VoidStepTest, LeavesNothingOfItsInputsBehind) {
  auto run = InStep2();
  ASSERT_TRUE(run->Enter(ViewAfter(kSecond, Commit(1)), PlanOf(2)).ok());
  run->RunAll();
  EXPECT_EQ(run->state.load().in_flight, 0u);
  EXPECT_EQ(run->state.load().log_bytes, kStepBytes) << "those of step 1";
  // Other bytes than before are no repeat of the void step's.
  EXPECT_TRUE(run->state.Labels(0, TestRun::KeyOf(2, 0, kSecond), std::vector<int64_t>{8, 9}).ok());
}

TEST_P(VoidStepTest, ItsMessagesAreRefusedFromTheAnnouncementOn) {
  auto run = InStep2();
  ASSERT_TRUE(run->state.JoinView(ViewAfter(kSecond, Commit(1)), &run->head).ok());
  for (int i = 0; i < 2; ++i) {
    ExpectError(run->SendLabels(2, 0), absl::StatusCode::kFailedPrecondition, "is of view 1.2");
    ExpectError(run->SendEmbedding(2, 0), absl::StatusCode::kFailedPrecondition, "this shard is in view 1.3");
    ExpectError(run->SendGradient(2, 0), absl::StatusCode::kFailedPrecondition, "this shard is in view 1.3");
    ExpectError(run->state.Decide(Commit(2)), absl::StatusCode::kFailedPrecondition, "this shard is in view 1.3");
    run->RunAll();
  }
  EXPECT_THAT(run->head.updates, SizeIs(2)) << "that of step 1, and the discarded step";
}

INSTANTIATE_TEST_SUITE_P(Stages, VoidStepTest, testing::Range(0, 6));

TEST(ShardStateViewsTest, MessagesOfTheNewViewWaitUntilItIsInstalled) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendLabels(TestRun::KeyOf(1, 0, kSecond)).ok());  // before the announcement
  ASSERT_TRUE(run->state.JoinView(RollbackTo(kSecond, {}), &run->head).ok());
  ASSERT_TRUE(run->SendEmbedding(TestRun::KeyOf(1, 0, kSecond)).ok());
  ASSERT_TRUE(run->SendLabels(TestRun::KeyOf(1, 1, kSecond)).ok());
  EXPECT_EQ(run->state.load().early, 3u);
  run->RunAll();
  EXPECT_THAT(run->output.sent, IsEmpty());
  ASSERT_TRUE(run->state.Install(InstallOf(PlanOf(1), kSecond)).ok());
  EXPECT_EQ(run->state.load().early, 0u);
  run->RunAll();
  EXPECT_THAT(run->output.sent, ElementsAre("worker 0 step 1 micro-batch 0"));
}

TEST(ShardStateViewsTest, RefusalsThatAreQueuedWhenTheViewComesAreDropped) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendEmbedding(2, 2).ok());  // before its labels
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());  // from now on the refusal is queued
  ASSERT_TRUE(run->Enter(ViewAfter(kSecond, Commit(1)), PlanOf(2)).ok());
  run->RunAll();
  EXPECT_THAT(run->output.refused, IsEmpty());
  EXPECT_TRUE(run->SendStep(2, kSecond).ok());
}

TEST(ShardStateViewsTest, AViewDuringForward_TouchesNoBufferOfTheStepBeforeForwardReturns) {
  auto run = TestRun::InStep1();
  run->head.during_forward = [&] {
    ASSERT_TRUE(run->state.JoinView(RollbackTo(kSecond, {}), &run->head).ok());
    for (uint32_t m = 0; m < 3; ++m) {
      ASSERT_TRUE(run->state.Labels(WorkerOf(m), TestRun::KeyOf(1, m, kSecond), LabelsOf(m)).ok());
      ASSERT_TRUE(run->SendEmbedding(TestRun::KeyOf(1, m, kSecond), std::vector<float>(SizeOf(m) * kDim, 7.0f)).ok());
    }
    EXPECT_TRUE(run->state.HasWork());
    EXPECT_EQ(run->state.load().log_bytes, 2 * (sizeof(int64_t) + kDim * sizeof(float))) << "the void step's inputs";
  };
  ASSERT_TRUE(run->SendLabels(1, 0).ok());
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
  while (run->head.group_sizes.empty()) ASSERT_TRUE(run->state.RunOne().ok());
  EXPECT_THAT(run->output.sent, IsEmpty()) << "statistics of the older view";
  EXPECT_TRUE(run->head.in_a_step);
  EXPECT_THAT(run->output.joined, SizeIs(1));
  run->RunAll();
  EXPECT_FALSE(run->head.in_a_step);
  EXPECT_THAT(run->output.joined, SizeIs(2));
  ASSERT_TRUE(run->state.Install(InstallOf(PlanOf(1), kSecond)).ok());
  run->RunAll();
  EXPECT_THAT(run->output.sent, SizeIs(3));
  EXPECT_THAT(run->output.z, ElementsAre(22.0f)) << "of the new view's embedding";
}

TEST(ShardStateViewsTest, OfTwoViewsInQuickSuccession_OnlyTheLastIsJoined) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.JoinView(RollbackTo(kSecond, {}), &run->head).ok());
  ASSERT_TRUE(run->SendLabels(TestRun::KeyOf(1, 0, kSecond)).ok());
  ASSERT_TRUE(run->SendLabels(TestRun::KeyOf(1, 1, kThird)).ok());
  ASSERT_TRUE(run->state.JoinView(RollbackTo(kThird, {}), &run->head).ok());
  EXPECT_EQ(run->state.load().early, 1u);
  run->RunAll();
  ASSERT_THAT(run->output.joined, SizeIs(2));
  EXPECT_EQ(run->output.joined[1].view, kThird);
  EXPECT_THAT(run->head.updates, ElementsAre("discard"));
  ExpectError(run->state.Install(InstallOf(PlanOf(1), kSecond)), absl::StatusCode::kFailedPrecondition,
              "Install is of view 1.3, but this shard is in view 2.1");
  ASSERT_TRUE(run->state.Install(InstallOf(PlanOf(1), kThird)).ok());
  EXPECT_TRUE(run->SendStep(1, kThird).ok());
}

TEST(ShardStateViewsTest, AnEvaluationIsAbandoned) {
  TestRun run;
  ASSERT_TRUE(run.Enter(TestView(), {NextAction::kEvaluate, {}}).ok());
  ASSERT_TRUE(run.state.JoinView(RollbackTo(kSecond, {}), &run.head).ok());
  run.RunAll();
  EXPECT_THAT(run.output.joined, SizeIs(2));
  ExpectError(run.state.Proceed(ProceedOf(PlanOf(1), kSecond)), absl::StatusCode::kFailedPrecondition, "no evaluation");
  ASSERT_TRUE(run.state.Install(InstallOf({NextAction::kEvaluate, {}}, kSecond)).ok());
  ASSERT_TRUE(run.state.Proceed(ProceedOf(PlanOf(1), kSecond)).ok());
  EXPECT_TRUE(run.SendStep(1, kSecond).ok());
}

TEST(ShardStateViewsTest, AfterAStopAFurtherViewIsJoined) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  Decision decision = Commit(1);
  decision.next = {NextAction::kStop, {}};
  ASSERT_TRUE(run->state.Decide(decision).ok());
  EXPECT_TRUE(run->SendLabels(TestRun::KeyOf(2, 0, kSecond)).ok()) << "it waits for its view";
  ASSERT_TRUE(run->Enter(ViewAfter(kSecond, decision), PlanOf(2)).ok());
  EXPECT_THAT(run->output.applied, ElementsAre(1u));
  ASSERT_TRUE(run->SendStep(2, kSecond).ok());
  EXPECT_THAT(run->output.votes, SizeIs(2));
}

// --- Decisions

TEST(ShardStateViewsTest, ADecisionThatIsRecordedAndNotAppliedWhenTheViewComesIsAppliedFirst) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  ASSERT_TRUE(run->SendLabels(2, 0).ok());
  ASSERT_TRUE(run->state.JoinView(ViewAfter(kSecond, Commit(1)), &run->head).ok());
  EXPECT_EQ(run->state.held().state, PointAfter(1));
  EXPECT_TRUE(run->state.held().whole);
  ASSERT_TRUE(run->state.RunOne().ok());
  EXPECT_THAT(run->output.applied, ElementsAre(1u));
  EXPECT_THAT(run->output.joined, SizeIs(1)) << "the first view";
  run->RunAll();
  EXPECT_THAT(run->output.joined, SizeIs(2));
  EXPECT_EQ(run->head.state, Undisturbed(1));
}

TEST(ShardStateViewsTest, TheDecisionThatAViewCarriesIsAppliedToTheStepThatWasVotedOn) {
  for (const bool skip : {false, true}) {
    auto run = TestRun::InStep1();
    ASSERT_TRUE(run->TakePart(1).ok());
    ASSERT_TRUE(run->SendStep(2).ok());
    Decision last = skip ? Skip(2) : Commit(2);
    last.counters.skipped = 4;
    ASSERT_TRUE(run->state.JoinView(ViewAfter(kSecond, last), &run->head).ok());
    HeldState held = run->state.held();
    EXPECT_EQ(held.state, last.after());
    EXPECT_EQ(held.last, last);
    EXPECT_EQ(held.voted_step, 0u);
    EXPECT_EQ(held.counters.skipped, 4u);
    run->RunAll();
    EXPECT_THAT(run->output.applied, ElementsAre(1u, 2u));
    EXPECT_EQ(run->head.state, Undisturbed(skip ? 1 : 2));
    EXPECT_FALSE(run->head.in_a_step);
    ASSERT_THAT(run->output.joined, SizeIs(2));
    EXPECT_EQ(run->output.joined[1].state, last.after());
    EXPECT_EQ(run->output.joined[1].replayed_steps, 0u);
    EXPECT_THAT(run->output.requests, IsEmpty());
    ASSERT_TRUE(run->state.Install(InstallOf(PlanOf(3), kSecond)).ok());
    EXPECT_TRUE(run->SendStep(3, kSecond).ok());
  }
}

TEST(ShardStateViewsTest, TheDecisionThatAViewCarriesIsNotAppliedToAStepThatWasNotVotedOn) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->TakePart(1).ok());
  for (uint32_t m = 0; m < 3; ++m) ASSERT_TRUE(run->SendLabels(2, m).ok());
  ASSERT_TRUE(run->state.JoinView(ViewAfter(kSecond, Commit(2)), &run->head).ok());
  EXPECT_FALSE(run->state.held().whole);
  run->RunAll();
  EXPECT_THAT(run->output.applied, ElementsAre(1u));
  EXPECT_THAT(run->output.joined, SizeIs(1));
  EXPECT_THAT(run->output.requests, ElementsAre(RecordingOutput::Request{kSecond, 0, PointAfter(1), 2}));
}

// The step was computed again by others, in a view that this shard has not seen, with other inputs.
TEST(ShardStateViewsTest, ADecisionOfAnotherViewIsNotAppliedToTheStepThatWasVotedOnHere) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->TakePart(1).ok());
  ASSERT_TRUE(run->SendStep(2).ok());
  const Decision last = CommitOn(PointAfter(1), 0.5, kSecond);
  ASSERT_TRUE(run->state.JoinView(ViewAfter(kThird, last), &run->head).ok());
  run->RunAll();
  EXPECT_THAT(run->output.applied, ElementsAre(1u));
  EXPECT_THAT(run->output.requests, ElementsAre(RecordingOutput::Request{kThird, 0, PointAfter(1), 2}));
}

TEST(ShardStateViewsTest, ADecisionOnAnotherStateIsNotAppliedToTheStepThatWasVotedOnHere) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->TakePart(1).ok());
  ASSERT_TRUE(run->SendStep(2).ok());
  ASSERT_TRUE(run->state.JoinView(ViewAfter(kSecond, CommitOn(Skip(1).after())), &run->head).ok());
  run->RunAll();
  EXPECT_THAT(run->output.applied, ElementsAre(1u));
  EXPECT_THAT(run->output.joined, SizeIs(1));
}

TEST(ShardStateViewsTest, AVoidStepStaysVoid_WhateverALaterViewCarries) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.JoinView(RollbackTo(kSecond, {}), &run->head).ok());
  EXPECT_EQ(run->state.held().voted_step, 0u);
  ASSERT_TRUE(run->state.JoinView(ViewAfter(kThird, Commit(1)), &run->head).ok());
  run->RunAll();
  EXPECT_THAT(run->output.applied, IsEmpty());
  EXPECT_THAT(run->output.requests, ElementsAre(RecordingOutput::Request{kThird, 0, StatePoint(), 1}));
}

TEST(ShardStateViewsTest, ARollbackRestoresTheBaseAndTheStepsAreTakenAgain) {
  auto run = TestRun::InStep1(TestRun::OptionsWithLog(100));
  ASSERT_TRUE(run->TakePart(3).ok());
  ASSERT_TRUE(run->Enter(RollbackTo(kSecond, {}), PlanOf(1)).ok());
  EXPECT_THAT(run->output.restored, ElementsAre(0u, 0u));
  EXPECT_EQ(run->head.state, 0u);
  HeldState held = run->state.held();
  EXPECT_EQ(held.state, StatePoint());
  EXPECT_EQ(held.last, std::nullopt);
  EXPECT_EQ(held.log_base, StatePoint());
  EXPECT_EQ(run->state.load().log_steps, 1u) << "the open step's";
  ASSERT_TRUE(run->SendStep(1, kSecond).ok());
  ASSERT_TRUE(run->state.Decide(CommitOn({}, 0.5, kSecond)).ok());
  run->RunAll();
  EXPECT_EQ(run->head.state, Undisturbed(1));
}

// --- Checkpoints

TEST(ShardStateViewsTest, ACheckpointThatWasAskedForIsTakenOfItsState_InTheViewThatAskedForIt) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(WithCheckpoint(Commit(1))).ok());
  ASSERT_TRUE(run->SendLabels(2, 0).ok());
  ASSERT_TRUE(run->state.JoinView(RollbackTo(kSecond, {}), &run->head).ok());
  run->RunAll();
  EXPECT_THAT(run->output.checkpoints, ElementsAre("view 1.2, step 1 after 1 applied"));
  EXPECT_EQ(run->output.saved[1], Undisturbed(1)) << "before the rollback";
  EXPECT_EQ(run->head.state, 0u);
  EXPECT_THAT(run->output.joined, SizeIs(2));
}

TEST(ShardStateViewsTest, ACheckpointThatWasAskedForDuringAnEvaluationIsTakenBeforeTheViewsStateIsRestored) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->TakePart(1).ok());
  ASSERT_TRUE(run->SendStep(2).ok());
  Decision decision = Commit(2);
  decision.next = {NextAction::kEvaluate, {}};
  ASSERT_TRUE(run->state.Decide(decision).ok());
  run->RunAll();
  ASSERT_TRUE(run->state.Proceed(ProceedOf({NextAction::kEvaluate, {}, true})).ok());
  ASSERT_TRUE(run->state.JoinView(RollbackTo(kSecond, {}), &run->head).ok());
  run->RunAll();
  EXPECT_THAT(run->output.checkpoints, ElementsAre("view 1.2, step 2 after 2 applied"));
  EXPECT_EQ(run->output.saved[2], Undisturbed(2));
}

TEST(ShardStateViewsTest, TheCheckpointFlagOfTheDecisionThatAViewCarriesIsLeftToInstall) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.JoinView(ViewAfter(kSecond, WithCheckpoint(Commit(1))), &run->head).ok());
  run->RunAll();
  EXPECT_THAT(run->output.checkpoints, IsEmpty());
  Next next = PlanOf(2);
  next.checkpoint = true;
  ASSERT_TRUE(run->state.Install(InstallOf(next, kSecond)).ok());
  run->RunAll();
  EXPECT_THAT(run->output.checkpoints, ElementsAre("view 1.3, step 1 after 1 applied"));
}

// --- A view while the base is being restored

TEST(ShardStateViewsTest, AViewDuringRestoreBase_WithTheSameBase_NeedsNoSecondOne) {
  TestRun run;
  run.output.during_restore = [&] {
    EXPECT_FALSE(run.state.held().whole);
    EXPECT_EQ(run.state.held().log_base, std::nullopt);
    ASSERT_TRUE(run.state.JoinView(RollbackTo(kSecond, {}), &run.head).ok());
  };
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  run.RunAll();
  EXPECT_THAT(run.output.restored, ElementsAre(0u));
  ASSERT_THAT(run.output.joined, SizeIs(1));
  EXPECT_EQ(run.output.joined[0].view, kSecond);
}

TEST(ShardStateViewsTest, AViewDuringRestoreBase_WithALaterBase_RestoresThatOne) {
  TestRun run;
  run.output.saved[4] = 44;
  run.output.during_restore = [&] {
    ASSERT_TRUE(run.state.JoinView(RollbackTo(kSecond, PointAfter(4)), &run.head).ok());
  };
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  run.RunAll();
  EXPECT_THAT(run.output.restored, ElementsAre(0u, 4u));
  EXPECT_EQ(run.head.state, 44u);
  ASSERT_THAT(run.output.joined, SizeIs(1));
  EXPECT_EQ(run.output.joined[0].state, PointAfter(4));
}

// --- What is held

TEST(ShardStateViewsTest, HeldDescribesTheViewTheStateTheVoteAndTheLog) {
  TestRun unjoined;
  EXPECT_EQ(unjoined.state.held(), HeldState());

  auto run = TestRun::InStep1(TestRun::OptionsWithLog(100));
  ASSERT_TRUE(run->TakePart(2).ok());
  HeldState held = run->state.held();
  EXPECT_EQ(held.view, kView);
  EXPECT_THAT(held.range_ends, ElementsAre(2, 6, 10));
  EXPECT_THAT(held.workers, ElementsAre(0u, 7u));
  EXPECT_EQ(held.state, PointAfter(2));
  EXPECT_TRUE(held.whole);
  EXPECT_EQ(held.voted_step, 0u);
  EXPECT_EQ(held.last, Commit(2));
  EXPECT_EQ(held.log_base, StatePoint());
  ASSERT_TRUE(run->SendStep(3).ok());
  EXPECT_EQ(run->state.held().voted_step, 3u);
  ASSERT_TRUE(run->state.Decide(Commit(3)).ok());
  held = run->state.held();
  EXPECT_EQ(held.state, PointAfter(3)) << "it is recorded, and will be applied whatever comes";
  EXPECT_EQ(held.voted_step, 0u);
  EXPECT_EQ(held.last, Commit(3));
}

TEST(ShardStateViewsTest, HeldNamesTheNewestViewThatWasAnnounced) {
  auto run = TestRun::InStep1();
  ViewAnnouncement view = RollbackTo(kSecond, {});
  view.workers.pop_back();
  ASSERT_TRUE(run->state.JoinView(view, &run->head).ok());
  EXPECT_EQ(run->state.held().view, kSecond);
  EXPECT_THAT(run->state.held().workers, ElementsAre(0u));
}

}  // namespace
}  // namespace arcshard::shard
