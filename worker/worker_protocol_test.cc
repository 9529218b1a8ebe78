#include "worker/worker_protocol.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

std::string Describe(const WorkerProtocol::Work& work) {
  using P = WorkerProtocol;
  return std::visit(
      Overloaded{[](const P::OpenData& open) { return absl::StrCat("open data of ", open.welcome.config_yaml); },
                 [](const P::JoinView& join) {
                   return absl::StrCat("join ", ToString(join.view.view), " at ", join.position);
                 },
                 [](const P::ApplyDecision& apply) { return absl::StrCat("apply ", apply.decision.step); },
                 [](const P::BeginCheckpoint& begin) { return absl::StrCat("checkpoint ", begin.step); },
                 [](const P::ComputeStep& compute) { return absl::StrCat("compute ", compute.plan.step); },
                 [](const P::Evaluate& evaluate) {
                   return absl::StrCat("evaluate ", evaluate.step, evaluate.writes_model ? ", write the best" : "");
                 },
                 [](const P::FinishRun& finish) {
                   return absl::StrCat("finish after ", finish.step, finish.writes_model ? ", write the model" : "");
                 }},
      work);
}

std::string Describe(const ParticipantMessage& message) {
  return std::visit(
      Overloaded{[](const DatasetReport& dataset) { return absl::StrCat("dataset of ", dataset.samples); },
                 [](const JoinedReport& joined) { return absl::StrCat("joined ", ToString(joined.view)); },
                 [](const ReadyVote& vote) { return absl::StrCat("vote ", vote.step, " in ", ToString(vote.view)); },
                 [](const EvaluationReport& report) { return absl::StrCat("evaluated ", report.sets.size()); },
                 [](const FailureReport& failure) { return absl::StrCat("failure: ", failure.sentence); },
                 [](const FinishedReport&) { return std::string("finished"); },
                 [](const auto&) { return std::string("another message"); }},
      message);
}

constexpr View kView{1, 1};

ViewAnnouncement ViewOf(const View& view, const std::vector<uint32_t>& workers, uint64_t last_decided_step = 0) {
  ViewAnnouncement announcement{view, 10, {{0, "a:1", {0, 10}}}, {}, {}, last_decided_step};
  for (const uint32_t id : workers) announcement.workers.push_back({id, "b:2"});
  return announcement;
}

Next Step(uint64_t step) { return {NextAction::kStep, StepPlan{.step = step, .micro_batch_sizes = {4}}, false}; }

// A driver in virtual time whose work succeeds at once.
class WorkerProtocolTest : public ::testing::Test {
 protected:
  using P = WorkerProtocol;

  // Carries out all work. What was done and sent, in order.
  std::vector<std::string> Drive() {
    std::vector<std::string> history;
    while (true) {
      for (const ParticipantMessage& message : protocol_.TakeMessages()) history.push_back(Describe(message));
      const std::optional<P::Work> work = protocol_.TakeWork();
      if (!work.has_value()) return history;
      history.push_back(Describe(*work));
      Succeed(*work);
    }
  }

  void Succeed(const P::Work& work) {
    std::visit(Overloaded{[this](const P::OpenData&) { protocol_.OnDataOpened({.samples = 40}); },
                          [this](const P::JoinView&) { protocol_.OnJoined(6); },
                          [this](const P::ComputeStep&) { protocol_.OnComputed({}); },
                          [this](const P::Evaluate&) { protocol_.OnEvaluated({VerificationReport{}}, ""); },
                          [this](const P::FinishRun&) { protocol_.OnFinished(); }, [](const auto&) {}},
               work);
  }

  // The worker with this id is in view 1.1 of the workers 0 and 3 and awaits the first decision.
  void Join(uint32_t id, uint64_t last_decided_step = 0) {
    protocol_.OnWelcome({.id = id, .config_yaml = "run"}, now_);
    Drive();
    protocol_.OnView(ViewOf(kView, {0, 3}, last_decided_step), now_);
    Drive();
  }

  std::vector<std::string> Decide(uint64_t step, const Next& next, const View& view = kView) {
    protocol_.OnDecision({view, step, Outcome::kCommit, 0.1, next}, now_);
    return Drive();
  }

  // The next work is taken and fails.
  void FailNext(const absl::Status& status) {
    ASSERT_TRUE(protocol_.TakeWork().has_value());
    protocol_.OnFailed(status, now_);
  }

  // The error that the worker tells the coordinator, and how the run ends for it when there is no answer.
  std::string Failure() {
    protocol_.OnTime(now_);
    const std::vector<std::string> sent = Drive();
    now_ = protocol_.deadline();
    protocol_.OnTime(now_);
    EXPECT_TRUE(protocol_.ended());
    return sent.size() == 1 ? sent.front() : absl::StrCat(sent.size(), " messages");
  }

  MonotonicTime now_ = MonotonicTime() + absl::Seconds(1000);
  WorkerProtocol protocol_;
};

TEST_F(WorkerProtocolTest, AWholeRunOfTheFirstWorkerIsWorkedThroughInOrder) {
  protocol_.OnWelcome({.id = 0, .config_yaml = "run"}, now_);
  EXPECT_THAT(Drive(), ElementsAre("open data of run", "dataset of 40"));
  protocol_.OnView(ViewOf(kView, {0, 3}), now_);
  EXPECT_THAT(Drive(), ElementsAre("join view 1.1 at 0", "joined view 1.1"));
  EXPECT_THAT(Decide(0, Step(1)), ElementsAre("compute 1", "vote 1 in view 1.1")) << "there is nothing to apply";
  Next with_checkpoint = Step(2);
  with_checkpoint.checkpoint = true;
  EXPECT_THAT(Decide(1, with_checkpoint), ElementsAre("apply 1", "checkpoint 1", "compute 2", "vote 2 in view 1.1"));
  EXPECT_THAT(Decide(2, {NextAction::kEvaluate, {}, false}),
              ElementsAre("apply 2", "evaluate 2, write the best", "evaluated 1"));
  protocol_.OnProceed(Step(3), now_);
  EXPECT_THAT(Drive(), ElementsAre("compute 3", "vote 3 in view 1.1"));
  EXPECT_THAT(Decide(3, {NextAction::kStop, {}, true}),
              ElementsAre("apply 3", "checkpoint 3", "finish after 3, write the model", "finished"));
  EXPECT_FALSE(protocol_.ended());
  EXPECT_EQ(protocol_.deadline(), MonotonicTime::InfiniteFuture());
  protocol_.OnClosed(absl::OkStatus());
  ASSERT_TRUE(protocol_.ended());
  EXPECT_EQ(protocol_.status(), absl::OkStatus());
}

TEST_F(WorkerProtocolTest, OnlyTheViewsFirstWorkerWritesAndReportsTheEvaluation) {
  Join(3);
  EXPECT_THAT(Decide(0, Step(1)), ElementsAre("compute 1", "vote 1 in view 1.1"));
  EXPECT_THAT(Decide(1, {NextAction::kEvaluate, {}, true}), ElementsAre("apply 1", "evaluate 1"));
  protocol_.OnProceed({NextAction::kStop, {}, true}, now_);
  EXPECT_THAT(Drive(), ElementsAre("finish after 1", "finished"));
}

TEST_F(WorkerProtocolTest, AStopAbandonsAnEvaluation) {
  for (const uint32_t id : {0u, 3u}) {
    protocol_ = WorkerProtocol();
    Join(id);
    Decide(0, Step(1));
    protocol_.OnDecision({kView, 1, Outcome::kCommit, 0.1, {NextAction::kEvaluate, {}, false}}, now_);
    ASSERT_EQ(Describe(*protocol_.TakeWork()), "apply 1");
    ASSERT_THAT(Describe(*protocol_.TakeWork()), ::testing::StartsWith("evaluate 1"));
    EXPECT_FALSE(protocol_.abandoned());
    EXPECT_EQ(protocol_.OnProceedWhileEvaluating({NextAction::kStop, {}, true}, now_), std::nullopt);
    EXPECT_TRUE(protocol_.abandoned());
    if (id == 0) {
      EXPECT_THAT(Drive(), ElementsAre("checkpoint 1", "finish after 1, write the model", "finished"));
    } else {
      EXPECT_THAT(Drive(), ElementsAre("finish after 1", "finished"));
    }
  }
}

TEST_F(WorkerProtocolTest, AStopMayComeWhileItJoinsOrHasJustJoined) {
  for (const bool in_time : {true, false}) {
    protocol_ = WorkerProtocol();
    protocol_.OnWelcome({.id = 0, .config_yaml = "run"}, now_);
    Drive();
    protocol_.OnView(ViewOf(kView, {0, 3}), now_);
    const Next stop{NextAction::kStop, {}, false};
    if (in_time) {
      ASSERT_EQ(Describe(*protocol_.TakeWork()), "join view 1.1 at 0");
      EXPECT_EQ(protocol_.OnProceedWhileJoining(stop).code(), absl::StatusCode::kCancelled);
      protocol_.OnJoined(6);
      EXPECT_THAT(Drive(), ElementsAre("joined view 1.1"));
    } else {
      Drive();
      protocol_.OnProceed(stop, now_);
      EXPECT_THAT(Drive(), IsEmpty());
    }
    EXPECT_THAT(Decide(0, stop), ElementsAre("finish after 0, write the model", "finished"));
  }
}

TEST_F(WorkerProtocolTest, NoStepFollowsWhileItJoins) {
  protocol_.OnWelcome({.id = 0, .config_yaml = "run"}, now_);
  Drive();
  protocol_.OnView(ViewOf(kView, {0, 3}), now_);
  ASSERT_EQ(Describe(*protocol_.TakeWork()), "join view 1.1 at 0");
  EXPECT_EQ(protocol_.OnProceedWhileJoining(Step(1)),
            absl::FailedPreconditionError("the coordinator sent a Proceed while this worker joins a view"));
}

TEST_F(WorkerProtocolTest, ACheckpointIsBegunWhileItEvaluatesOrHasJustEvaluated) {
  for (const uint32_t id : {0u, 3u}) {
    protocol_ = WorkerProtocol();
    Join(id);
    Decide(0, Step(1));
    protocol_.OnDecision({kView, 1, Outcome::kCommit, 0.1, {NextAction::kEvaluate, {}, false}}, now_);
    protocol_.TakeWork();
    protocol_.TakeWork();
    const auto begin = protocol_.OnProceedWhileEvaluating({NextAction::kEvaluate, {}, true}, now_);
    EXPECT_EQ(begin.has_value(), id == 0);
    if (begin.has_value()) {
      EXPECT_EQ(Describe(P::Work(*begin)), "checkpoint 1");
    }
    EXPECT_FALSE(protocol_.abandoned());
    protocol_.OnEvaluated({}, "");
    Drive();
    protocol_.OnProceed({NextAction::kEvaluate, {}, true}, now_);
    EXPECT_THAT(Drive(),
                ElementsAreArray(id == 0 ? std::vector<std::string>{"checkpoint 1"} : std::vector<std::string>()));
    protocol_.OnProceed(Step(2), now_);
    EXPECT_THAT(Drive(), ElementsAre("compute 2", "vote 2 in view 1.1"));
  }
}

TEST_F(WorkerProtocolTest, AStepCannotFollowAnEvaluationThatHasNotEnded) {
  Join(0);
  Decide(0, Step(1));
  protocol_.OnDecision({kView, 1, Outcome::kCommit, 0.1, {NextAction::kEvaluate, {}, false}}, now_);
  protocol_.TakeWork();
  protocol_.TakeWork();
  EXPECT_EQ(protocol_.OnProceedWhileEvaluating(Step(2), now_), std::nullopt);
  EXPECT_TRUE(protocol_.abandoned());
  EXPECT_THAT(Failure(), ::testing::HasSubstr("while this worker evaluates"));
}

TEST_F(WorkerProtocolTest, ACheckpointAfterAnEvaluationIsThatOfTheLastDecidedStep) {
  Join(0);
  Decide(0, Step(1));
  Decide(1, {NextAction::kEvaluate, {}, false});
  Next next = Step(2);
  next.checkpoint = true;
  protocol_.OnProceed(next, now_);
  EXPECT_THAT(Drive(), ElementsAre("checkpoint 1", "compute 2", "vote 2 in view 1.1"));
}

TEST_F(WorkerProtocolTest, AResumedRunBeginsWithTheDecisionThatItsCheckpointHolds) {
  Join(0, /*last_decided_step=*/17);
  EXPECT_THAT(Decide(17, Step(18)), ElementsAre("compute 18", "vote 18 in view 1.1"));
  EXPECT_THAT(Decide(18, Step(19)), ElementsAre("apply 18", "compute 19", "vote 19 in view 1.1"));
}

TEST_F(WorkerProtocolTest, AnotherViewVoidsTheVoteAndTheWorkerMayHaveAnotherPlaceInIt) {
  Join(3);
  Decide(0, Step(1));
  protocol_.OnView(ViewOf({1, 2}, {3}), now_);  // worker 0 is gone
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 0", "joined view 1.2"));
  EXPECT_THAT(Decide(0, Step(1), {1, 2}), ElementsAre("compute 1", "vote 1 in view 1.2"));
  EXPECT_THAT(Decide(1, {NextAction::kStop, {}, false}, {1, 2}),
              ElementsAre("apply 1", "finish after 1, write the model", "finished"));
}

TEST_F(WorkerProtocolTest, AViewWithoutThisWorkerIsRefused) {
  protocol_.OnWelcome({.id = 2, .config_yaml = "run"}, now_);
  Drive();
  protocol_.OnView(ViewOf(kView, {0, 3}), now_);
  EXPECT_EQ(Failure(), "failure: view 1.1 is without this worker");
  EXPECT_EQ(protocol_.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(WorkerProtocolTest, ADecisionOfAnotherViewIsRefused) {
  Join(0);
  EXPECT_THAT(Decide(0, Step(1), {1, 2}), IsEmpty());
  EXPECT_EQ(
      Failure(),
      "failure: the coordinator sent a decision about step 0 of view 1.2 while this worker waits for the decision "
      "about step 0 of view 1.1");
}

TEST_F(WorkerProtocolTest, ADecisionAboutAStepThatWasNotVotedForIsRefused) {
  Join(0);
  Decide(0, Step(1));
  EXPECT_THAT(Decide(2, Step(3)), IsEmpty());
  EXPECT_EQ(
      Failure(),
      "failure: the coordinator sent a decision about step 2 of view 1.1 while this worker waits for the decision "
      "about step 1 of view 1.1");
}

TEST_F(WorkerProtocolTest, MessagesOutOfTurnAreRefused) {
  {
    protocol_.OnView(ViewOf(kView, {0}), now_);
    EXPECT_EQ(Failure(), "failure: the coordinator sent view 1.1 while this worker waits for the Welcome");
  }
  {
    protocol_ = WorkerProtocol();
    Join(0);
    protocol_.OnWelcome({}, now_);
    EXPECT_EQ(
        Failure(),
        "failure: the coordinator sent a Welcome while this worker waits for the decision about step 0 of view 1.1");
  }
  {
    protocol_ = WorkerProtocol();
    Join(0);
    Decide(0, {NextAction::kEvaluate, {}, false});
    Decide(0, Step(1));
    EXPECT_EQ(
        Failure(),
        "failure: the coordinator sent a decision about step 0 of view 1.1 while this worker waits for a Proceed");
  }
  {
    protocol_ = WorkerProtocol();
    Join(0);
    Decide(0, {NextAction::kStop, {}, false});
    protocol_.OnProceed(Step(1), now_);
    EXPECT_EQ(Failure(), "failure: the coordinator sent a Proceed while this worker has finished");
  }
}

TEST_F(WorkerProtocolTest, AnErrorIsToldToTheCoordinatorWhoseAnswerIsAwaitedForAWhile) {
  Join(0);
  protocol_.OnDecision({kView, 0, Outcome::kCommit, 0.1, Step(1)}, now_);
  FailNext(absl::DataLossError("train.rec: truncated"));
  EXPECT_TRUE(protocol_.idle());
  EXPECT_EQ(protocol_.deadline(), now_);
  EXPECT_THAT(Drive(), IsEmpty());
  protocol_.OnTime(now_);
  EXPECT_THAT(Drive(), ElementsAre("failure: train.rec: truncated"));
  EXPECT_EQ(protocol_.deadline(), now_ + P::kPatience);
  protocol_.OnTime(now_ + P::kPatience - absl::Milliseconds(1));
  EXPECT_FALSE(protocol_.ended());
  protocol_.OnClosed(absl::AbortedError("worker 0: train.rec: truncated"));
  ASSERT_TRUE(protocol_.ended());
  EXPECT_EQ(protocol_.status(), absl::DataLossError("train.rec: truncated")) << "the coordinator only repeats it";
}

TEST_F(WorkerProtocolTest, WithoutAnAnswerAnErrorEndsTheRunByItself) {
  Join(0);
  protocol_.OnDecision({kView, 0, Outcome::kCommit, 0.1, Step(1)}, now_);
  FailNext(absl::DataLossError("train.rec: truncated"));
  EXPECT_EQ(Failure(), "failure: train.rec: truncated");
  EXPECT_EQ(protocol_.status(), absl::DataLossError("train.rec: truncated"));
}

TEST_F(WorkerProtocolTest, AWorkerThatLostAPeerWaitsForTheCoordinatorsReason) {
  Join(0);
  protocol_.OnDecision({kView, 0, Outcome::kCommit, 0.1, Step(1)}, now_);
  FailNext(absl::UnavailableError("shard 1: connection reset"));
  EXPECT_EQ(protocol_.deadline(), now_ + P::kPatience);
  protocol_.OnTime(now_ + P::kPatience - absl::Milliseconds(1));
  EXPECT_THAT(Drive(), IsEmpty());
  protocol_.OnClosed(absl::AbortedError("shard 1 (pid 7 on vm) died at step 1"));
  ASSERT_TRUE(protocol_.ended());
  EXPECT_EQ(protocol_.status(), absl::AbortedError("shard 1 (pid 7 on vm) died at step 1"));
}

TEST_F(WorkerProtocolTest, ALostPeerIsToldWhenTheCoordinatorSaysNothing) {
  Join(0);
  protocol_.OnDecision({kView, 0, Outcome::kCommit, 0.1, Step(1)}, now_);
  FailNext(absl::UnavailableError("shard 1: connection reset"));
  now_ += P::kPatience;
  EXPECT_EQ(Failure(), "failure: shard 1: connection reset");
  EXPECT_EQ(protocol_.status(), absl::UnavailableError("shard 1: connection reset"));
}

TEST_F(WorkerProtocolTest, AnErrorDropsTheWorkThatWouldFollow) {
  Join(0);
  Decide(0, Step(1));
  protocol_.OnDecision({kView, 1, Outcome::kCommit, 0.1, {NextAction::kStop, {}, true}}, now_);
  FailNext(absl::InternalError("the optimizer failed"));
  EXPECT_FALSE(protocol_.TakeWork().has_value());
  protocol_.OnDecision({kView, 1, Outcome::kCommit, 0.1, Step(2)}, now_);  // it had been sent before
  EXPECT_FALSE(protocol_.TakeWork().has_value());
}

TEST_F(WorkerProtocolTest, AnEndInOrderBeforeTheRunHasFinishedIsAnErrorHere) {
  Join(0);
  protocol_.OnClosed(absl::OkStatus());
  ASSERT_TRUE(protocol_.ended());
  EXPECT_EQ(protocol_.status(), absl::CancelledError("the run has ended"));
}

TEST_F(WorkerProtocolTest, TheCoordinatorsErrorEndsTheRunInEveryState) {
  const absl::Status over = absl::AbortedError("3 steps in a row were not finite");
  protocol_.OnClosed(over);
  EXPECT_EQ(protocol_.status(), over);
  protocol_ = WorkerProtocol();
  Join(0);
  Decide(0, {NextAction::kStop, {}, false});
  protocol_.OnClosed(over);
  EXPECT_EQ(protocol_.status(), over) << "others may not have finished";
}

}  // namespace
}  // namespace arcshard::worker
