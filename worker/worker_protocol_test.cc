#include "worker/worker_protocol.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/protocol/lineage.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using P = WorkerProtocol;

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

std::string Describe(const P::JoinView& join) {
  const char* const sources[] = {"keep", "base", "copy"};
  std::string text = absl::StrCat("join ", ToString(join.view.view), " at ", join.position, ", ",
                                  sources[static_cast<int>(join.source)]);
  if (join.sender.has_value()) absl::StrAppend(&text, " of ", *join.sender);
  return text;
}

std::string Describe(const P::Work& work) {
  return std::visit(
      Overloaded{[](const P::OpenData& open) { return absl::StrCat("open data of ", open.welcome.config_yaml); },
                 [](const P::Attach&) { return std::string("attach"); },
                 [](const P::JoinView& join) { return Describe(join); },
                 [](const P::ApplyDecision& apply) { return absl::StrCat("apply ", apply.decision.step); },
                 [](const P::BeginCheckpoint& begin) {
                   return absl::StrCat("checkpoint ", begin.step, " of ", ToString(begin.view));
                 },
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
                 [](const JoinedReport& joined) {
                   return absl::StrCat("joined ", ToString(joined.view), " after ", joined.state.step);
                 },
                 [](const ReadyVote& vote) { return absl::StrCat("vote ", vote.step, " in ", ToString(vote.view)); },
                 [](const EvaluationReport& report) {
                   return absl::StrCat("evaluated ", report.sets.size(), " in ", ToString(report.view));
                 },
                 [](const FailureReport& failure) { return absl::StrCat("failure: ", failure.sentence); },
                 [](const FinishedReport&) { return std::string("finished"); },
                 [](const LostPeersReport& lost) {
                   return absl::StrCat("lost peers of ", ToString(lost.view), ": ", lost.sentence);
                 },
                 [](const auto&) { return std::string("another message"); }},
      message);
}

constexpr View kView{1, 1}, kNext{1, 2};
const Next kEvaluation{NextAction::kEvaluate, {}, false};
const Next kStop{NextAction::kStop, {}, false};

Next Step(uint64_t step, bool checkpoint = false) {
  return {NextAction::kStep, StepPlan{.step = step, .micro_batch_sizes = {4}}, checkpoint};
}
Next With(Next next) {
  next.checkpoint = true;
  return next;
}

// The coordinator of a run, and a driver in virtual time whose work succeeds at once.
class WorkerProtocolTest : public ::testing::Test {
 protected:
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

  // Carries out work up to the one that is described so, which is then in progress.
  void DriveTo(const std::string& what) {
    std::string done;
    while (done != what) {
      protocol_.TakeMessages();
      const std::optional<P::Work> work = protocol_.TakeWork();
      ASSERT_TRUE(work.has_value()) << "there is no work \"" << what << "\"";
      done = Describe(*work);
      if (done != what) Succeed(*work);
    }
    ASSERT_TRUE(protocol_.running());
  }

  void Succeed(const P::Work& work) {
    std::visit(Overloaded{[this](const P::OpenData&) { protocol_.OnDataOpened({.samples = 40}); },
                          [this](const P::JoinView&) { protocol_.OnJoined(6, 0.5); },
                          [this](const P::ComputeStep&) { protocol_.OnComputed({}); },
                          [this](const P::Evaluate&) { protocol_.OnEvaluated({VerificationReport{}}, ""); },
                          [this](const P::FinishRun&) { protocol_.OnFinished(); },
                          [this](const P::Attach& attach) { registration_ = attach.registration; }, [](const auto&) {}},
               work);
  }

  // Announces a view of these workers that goes on from the run's last decision, or from its base. The workers with the
  // ids `holders` hold the state.
  void Announce(const View& view, const std::vector<uint32_t>& workers, const std::vector<uint32_t>& holders) {
    ViewAnnouncement announcement;
    announcement.view = view;
    announcement.num_classes = 10;
    announcement.shards = {{0, "a:1", {0, 10}}};
    for (const uint32_t id : workers) {
      const bool holds = std::find(holders.begin(), holders.end(), id) != holders.end();
      announcement.workers.push_back({id, "b:2", "", holds});
    }
    announcement.state = last_.has_value() ? last_->after() : base_;
    announcement.last = last_;
    announcement.base = base_;
    view_ = view;
    protocol_.OnView(announcement, now_);
  }

  void Welcomed(uint32_t id) {
    protocol_.OnWelcome({.id = id, .config_yaml = "run", .token = "secret"}, now_);
    Drive();
  }

  // The worker with this id is in view 1.1 of the workers 0 and 3 and waits for its Install.
  void Join(uint32_t id) {
    Welcomed(id);
    Announce(kView, {0, 3}, {});
    Drive();
  }

  void Install(const Next& next) { protocol_.OnInstall({.view = view_, .next = next, .counters = counters_}, now_); }
  std::vector<std::string> InstallAndDrive(const Next& next) {
    Install(next);
    return Drive();
  }

  // Makes the decision about the next step. The worker may be told of it or not.
  Decision Decided(const Next& next) {
    const StatePoint before = last_.has_value() ? last_->after() : base_;
    Decision decision{.view = view_, .step = before.step + 1, .outcome = Outcome::kCommit, .lr = 0.1, .next = next};
    decision.counters = counters_;
    decision.lineage = ExtendLineage(before.lineage, decision);
    last_ = decision;
    return decision;
  }
  void Decide(const Next& next) { protocol_.OnDecision(Decided(next), now_); }
  std::vector<std::string> DecideAndDrive(const Next& next) {
    Decide(next);
    return Drive();
  }

  void Proceeds(const Next& next) { protocol_.OnProceed({.view = view_, .next = next, .counters = counters_}, now_); }

  // The worker has joined view 1.1 and has voted on step 1.
  void VoteOnStep1(uint32_t id = 0) {
    Join(id);
    InstallAndDrive(Step(1));
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

  void Lose() { protocol_.OnDetached(absl::UnavailableError("lost the coordinator"), now_); }

  // Begins anew.
  void Reset() {
    protocol_ = WorkerProtocol();
    last_.reset();
    base_ = {};
  }

  MonotonicTime now_ = MonotonicTime() + absl::Seconds(1000);
  View view_ = kView;
  StatePoint base_;
  std::optional<Decision> last_;
  RunCounters counters_;
  std::optional<Registration> registration_;  // of the last Attach
  WorkerProtocol protocol_;
};

// --- A run without losses

TEST_F(WorkerProtocolTest, AWholeRunOfTheFirstWorkerIsWorkedThroughInOrder) {
  protocol_.OnWelcome({.id = 0, .config_yaml = "run"}, now_);
  EXPECT_THAT(Drive(), ElementsAre("open data of run", "dataset of 40"));
  Announce(kView, {0, 3}, {});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.1 at 0, base", "joined view 1.1 after 0"));
  EXPECT_THAT(InstallAndDrive(Step(1)), ElementsAre("compute 1", "vote 1 in view 1.1"));
  EXPECT_THAT(DecideAndDrive(Step(2, true)),
              ElementsAre("apply 1", "checkpoint 1 of view 1.1", "compute 2", "vote 2 in view 1.1"));
  EXPECT_THAT(DecideAndDrive(kEvaluation),
              ElementsAre("apply 2", "evaluate 2, write the best", "evaluated 1 in view 1.1"));
  Proceeds(Step(3));
  EXPECT_THAT(Drive(), ElementsAre("compute 3", "vote 3 in view 1.1"));
  EXPECT_THAT(DecideAndDrive(With(kStop)),
              ElementsAre("apply 3", "checkpoint 3 of view 1.1", "finish after 3, write the model", "finished"));
  EXPECT_FALSE(protocol_.ended());
  EXPECT_EQ(protocol_.deadline(), MonotonicTime::InfiniteFuture());
  protocol_.OnClosed(absl::OkStatus());
  ASSERT_TRUE(protocol_.ended());
  EXPECT_EQ(protocol_.status(), absl::OkStatus());
}

TEST_F(WorkerProtocolTest, JoinedSaysWhatIsHeldAndHowLongItTook) {
  Welcomed(0);
  Announce(kView, {0, 3}, {});
  DriveTo("join view 1.1 at 0, base");
  protocol_.OnJoined(6, 0.5);
  const std::vector<ParticipantMessage> sent = protocol_.TakeMessages();
  ASSERT_EQ(sent.size(), 1u);
  const auto& joined = std::get<JoinedReport>(sent[0]);
  EXPECT_EQ(joined.view, kView);
  EXPECT_EQ(joined.state, StatePoint());
  EXPECT_EQ(joined.verification_images, 6u);
  EXPECT_EQ(joined.rebuilt_in_seconds, 0.5);
  EXPECT_EQ(joined.replayed_steps, 0u);
}

TEST_F(WorkerProtocolTest, OnlyTheViewsFirstWorkerWritesAndReportsTheEvaluation) {
  Join(3);
  EXPECT_THAT(InstallAndDrive(Step(1)), ElementsAre("compute 1", "vote 1 in view 1.1"));
  EXPECT_THAT(DecideAndDrive(With(kEvaluation)), ElementsAre("apply 1", "evaluate 1"));
  Proceeds(With(kStop));
  EXPECT_THAT(Drive(), ElementsAre("finish after 1", "finished"));
}

TEST_F(WorkerProtocolTest, AViewMayBeginWithACheckpointAnEvaluationOrTheStop) {
  Join(0);
  EXPECT_THAT(InstallAndDrive(Step(1, true)),
              ElementsAre("checkpoint 0 of view 1.1", "compute 1", "vote 1 in view 1.1"));
  Reset();
  Join(0);
  EXPECT_THAT(InstallAndDrive(kEvaluation), ElementsAre("evaluate 0, write the best", "evaluated 1 in view 1.1"));
  Reset();
  Join(0);
  EXPECT_THAT(InstallAndDrive(kStop), ElementsAre("finish after 0, write the model", "finished"));
}

TEST_F(WorkerProtocolTest, AStopAbandonsAnEvaluation) {
  for (const uint32_t id : {0u, 3u}) {
    Reset();
    VoteOnStep1(id);
    Decide(kEvaluation);
    DriveTo(id == 0 ? "evaluate 1, write the best" : "evaluate 1");
    EXPECT_FALSE(protocol_.abandoned());
    EXPECT_EQ(protocol_.OnProceedWhileEvaluating({kView, With(kStop)}, now_), std::nullopt);
    EXPECT_TRUE(protocol_.abandoned());
    if (id == 0) {
      EXPECT_THAT(Drive(), ElementsAre("checkpoint 1 of view 1.1", "finish after 1, write the model", "finished"));
    } else {
      EXPECT_THAT(Drive(), ElementsAre("finish after 1", "finished"));
    }
  }
}

TEST_F(WorkerProtocolTest, AStopMayComeWhileItJoinsOrHasJustJoined) {
  for (const bool in_time : {true, false}) {
    Reset();
    Welcomed(0);
    Announce(kView, {0, 3}, {});
    if (in_time) {
      DriveTo("join view 1.1 at 0, base");
      EXPECT_EQ(protocol_.OnProceedWhileJoining({kView, kStop}).code(), absl::StatusCode::kCancelled);
      protocol_.OnJoined(6, 0.0);
      EXPECT_THAT(Drive(), ElementsAre("joined view 1.1 after 0"));
    } else {
      Drive();
      Proceeds(kStop);
      EXPECT_THAT(Drive(), IsEmpty());
    }
    EXPECT_THAT(InstallAndDrive(kStop), ElementsAre("finish after 0, write the model", "finished"));
  }
}

TEST_F(WorkerProtocolTest, NoStepFollowsWhileItJoins) {
  Welcomed(0);
  Announce(kView, {0, 3}, {});
  DriveTo("join view 1.1 at 0, base");
  EXPECT_EQ(
      protocol_.OnProceedWhileJoining({kView, Step(1)}),
      absl::FailedPreconditionError("the coordinator sent a Proceed of view 1.1 while this worker joins view 1.1"));
}

TEST_F(WorkerProtocolTest, ACheckpointIsBegunWhileItEvaluatesOrHasJustEvaluated) {
  for (const uint32_t id : {0u, 3u}) {
    Reset();
    VoteOnStep1(id);
    Decide(kEvaluation);
    DriveTo(id == 0 ? "evaluate 1, write the best" : "evaluate 1");
    const auto begin = protocol_.OnProceedWhileEvaluating({kView, With(kEvaluation)}, now_);
    EXPECT_EQ(begin.has_value(), id == 0);
    if (begin.has_value()) {
      EXPECT_EQ(Describe(P::Work(*begin)), "checkpoint 1 of view 1.1");
    }
    EXPECT_FALSE(protocol_.abandoned());
    protocol_.OnEvaluated({}, "");
    Drive();
    Proceeds(With(kEvaluation));
    EXPECT_THAT(Drive(), ElementsAreArray(id == 0 ? std::vector<std::string>{"checkpoint 1 of view 1.1"}
                                                  : std::vector<std::string>()));
    Proceeds(Step(2));
    EXPECT_THAT(Drive(), ElementsAre("compute 2", "vote 2 in view 1.1"));
  }
}

TEST_F(WorkerProtocolTest, AStepCannotFollowAnEvaluationThatHasNotEnded) {
  VoteOnStep1();
  Decide(kEvaluation);
  DriveTo("evaluate 1, write the best");
  EXPECT_EQ(protocol_.OnProceedWhileEvaluating({kView, Step(2)}, now_), std::nullopt);
  EXPECT_TRUE(protocol_.abandoned());
  EXPECT_THAT(Failure(), HasSubstr("while this worker evaluates"));
}

TEST_F(WorkerProtocolTest, ACheckpointAfterAnEvaluationIsThatOfTheLastDecidedStep) {
  VoteOnStep1();
  DecideAndDrive(kEvaluation);
  Proceeds(Step(2, true));
  EXPECT_THAT(Drive(), ElementsAre("checkpoint 1 of view 1.1", "compute 2", "vote 2 in view 1.1"));
}

TEST_F(WorkerProtocolTest, AnEvaluationIsComparedWithTheBestThatTheCoordinatorHasTold) {
  const auto best_of_the_evaluation = [this](const std::string& what) {
    std::optional<P::Work> work;
    while (!work.has_value() || Describe(*work) != what) {
      protocol_.TakeMessages();
      work = protocol_.TakeWork();
      EXPECT_TRUE(work.has_value());
    }
    protocol_.OnEvaluated({}, "");
    return std::get<P::Evaluate>(*work).best.accuracy;
  };
  Join(0);
  counters_.best.accuracy = 0.5;
  Install(kEvaluation);
  EXPECT_EQ(best_of_the_evaluation("evaluate 0, write the best"), 0.5);
  counters_.best.accuracy = 0.625;
  Proceeds(Step(1));
  EXPECT_EQ(protocol_.held().counters.best.accuracy, 0.625);
  Drive();
  counters_.best.accuracy = 0.75;
  Decide(kEvaluation);
  EXPECT_EQ(best_of_the_evaluation("evaluate 1, write the best"), 0.75);
}

TEST_F(WorkerProtocolTest, AResumedRunBeginsWithItsCheckpoint) {
  base_ = {17, 4711};
  Welcomed(0);
  Announce(kView, {0, 3}, {});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.1 at 0, base", "joined view 1.1 after 17"));
  EXPECT_THAT(InstallAndDrive(Step(18)), ElementsAre("compute 18", "vote 18 in view 1.1"));
  EXPECT_THAT(DecideAndDrive(Step(19)), ElementsAre("apply 18", "compute 19", "vote 19 in view 1.1"));
}

// --- Another view

TEST_F(WorkerProtocolTest, AViewVoidsTheVoteAndTheWorkerMayHaveAnotherPlaceInIt) {
  VoteOnStep1(3);
  EXPECT_EQ(protocol_.held().voted_step, 1u);
  Announce(kNext, {3}, {3});  // worker 0 is gone
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 0, keep", "joined view 1.2 after 0"));
  EXPECT_EQ(protocol_.held().voted_step, 0u);
  EXPECT_THAT(InstallAndDrive(Step(1)), ElementsAre("compute 1", "vote 1 in view 1.2"));
  EXPECT_THAT(DecideAndDrive(kStop), ElementsAre("apply 1", "finish after 1, write the model", "finished"));
}

TEST_F(WorkerProtocolTest, ADecisionThatOnlyTheViewTellsIsAppliedBeforeItJoins) {
  VoteOnStep1();
  Decided(Step(2));  // others were told
  Announce(kNext, {0, 3}, {0, 3});
  EXPECT_THAT(Drive(), ElementsAre("apply 1", "join view 1.2 at 0, keep", "joined view 1.2 after 1"));
  EXPECT_EQ(protocol_.held().state, last_->after());
  EXPECT_THAT(InstallAndDrive(Step(2)), ElementsAre("compute 2", "vote 2 in view 1.2"));
}

TEST_F(WorkerProtocolTest, ADecisionThatWasReceivedIsAppliedOnce) {
  VoteOnStep1();
  DecideAndDrive(Step(2));
  Announce(kNext, {0, 3}, {0, 3});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 0, keep", "joined view 1.2 after 1"));
}

TEST_F(WorkerProtocolTest, AViewWhileItComputesVoidsTheStep) {
  VoteOnStep1();
  Decide(Step(2));
  DriveTo("compute 2");
  protocol_.OnVoided();
  Announce(kNext, {0, 3}, {0, 3});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 0, keep", "joined view 1.2 after 1"));
  EXPECT_THAT(InstallAndDrive(Step(2)), ElementsAre("compute 2", "vote 2 in view 1.2"));
}

TEST_F(WorkerProtocolTest, AViewWhileItEvaluatesVoidsTheEvaluation) {
  VoteOnStep1();
  Decide(kEvaluation);
  DriveTo("evaluate 1, write the best");
  protocol_.OnVoided();
  Announce(kNext, {0, 3}, {0, 3});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 0, keep", "joined view 1.2 after 1"));
  EXPECT_THAT(InstallAndDrive(kEvaluation), ElementsAre("evaluate 1, write the best", "evaluated 1 in view 1.2"));
}

TEST_F(WorkerProtocolTest, AViewMayFollowTheEvaluationBeforeTheProceed) {
  VoteOnStep1();
  DecideAndDrive(kEvaluation);
  Announce(kNext, {0, 3}, {0, 3});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 0, keep", "joined view 1.2 after 1"));
}

TEST_F(WorkerProtocolTest, AViewWhileItFinishesOrHasFinishedMakesItTakePartAgain) {
  for (const bool finished : {false, true}) {
    Reset();
    VoteOnStep1();
    Decide(kStop);
    if (finished) {
      Drive();
    } else {
      DriveTo("finish after 1, write the model");
      protocol_.OnVoided();
    }
    Announce(kNext, {0, 3}, {0, 3});
    EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 0, keep", "joined view 1.2 after 1"));
    EXPECT_THAT(InstallAndDrive(kStop), ElementsAre("finish after 1, write the model", "finished"));
    protocol_.OnClosed(absl::OkStatus());
    EXPECT_EQ(protocol_.status(), absl::OkStatus());
  }
}

TEST_F(WorkerProtocolTest, AViewWhileItJoinsMayFindTheStateHeldAlready) {
  for (const bool restored : {false, true}) {
    Reset();
    Welcomed(0);
    Announce(kView, {0, 3}, {});
    DriveTo("join view 1.1 at 0, base");
    if (restored) protocol_.OnRestored();
    EXPECT_EQ(protocol_.held().whole, restored);
    protocol_.OnVoided();
    Announce(kNext, {0, 3}, {});
    EXPECT_THAT(Drive(), ElementsAre(restored ? "join view 1.2 at 0, keep" : "join view 1.2 at 0, base",
                                     "joined view 1.2 after 0"));
  }
}

TEST_F(WorkerProtocolTest, AViewWhileItWaitsForTheInstallIsJoinedWithTheStateKept) {
  Join(0);
  Announce(kNext, {0, 3}, {0, 3});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 0, keep", "joined view 1.2 after 0"));
}

TEST_F(WorkerProtocolTest, WhoLacksTheStateCopiesThatOfTheLowestWorkerWithItAndAllTakePart) {
  VoteOnStep1();
  DecideAndDrive(Step(2));
  WorkerProtocol other;
  std::swap(other, protocol_);
  Welcomed(5);  // a new process, in worker 3's place
  Announce(kNext, {0, 4, 5}, {0, 4});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 2, copy of 0", "joined view 1.2 after 1"));
  EXPECT_EQ(protocol_.held().state, last_->after());
  EXPECT_EQ(protocol_.held().last, last_);
  std::swap(other, protocol_);
  Announce(kNext, {0, 4, 5}, {0, 4});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 0, keep of 0", "joined view 1.2 after 1"));
  Announce({1, 3}, {0, 4, 5}, {0, 4, 5});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.3 at 0, keep", "joined view 1.3 after 1")) << "nobody lacks it";
}

TEST_F(WorkerProtocolTest, TheSenderIsNamedByItsPosition) {
  VoteOnStep1(3);
  DecideAndDrive(Step(2));
  Announce(kNext, {0, 3}, {3});  // worker 0 is a new process
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 1, keep of 1", "joined view 1.2 after 1"));
}

TEST_F(WorkerProtocolTest, WhereTheStateIsTheBaseNobodyCopies) {
  VoteOnStep1();
  DecideAndDrive(Step(2));
  base_ = last_->after();  // of a checkpoint
  last_.reset();
  Announce(kNext, {0, 3}, {0});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 0, keep", "joined view 1.2 after 1"));
}

TEST_F(WorkerProtocolTest, ARollbackRestoresTheBase) {
  VoteOnStep1();
  DecideAndDrive(Step(2));
  last_.reset();
  base_ = {};
  Announce(kNext, {0, 3}, {});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 0, base", "joined view 1.2 after 0"));
  EXPECT_THAT(InstallAndDrive(Step(1)), ElementsAre("compute 1", "vote 1 in view 1.2"));
}

TEST_F(WorkerProtocolTest, WhatTheCoordinatorSaidOfTheViewBeforeIsIgnored) {
  VoteOnStep1();
  const Decision late = Decided(Step(2));
  last_.reset();
  Announce(kNext, {0, 3}, {0, 3});
  Drive();
  protocol_.OnInstall({.view = kView, .next = Step(1)}, now_);
  protocol_.OnDecision(late, now_);
  protocol_.OnProceed({kView, kStop}, now_);
  EXPECT_THAT(Drive(), IsEmpty());
  EXPECT_THAT(InstallAndDrive(Step(1)), ElementsAre("compute 1", "vote 1 in view 1.2"));
}

TEST_F(WorkerProtocolTest, WhatTheCoordinatorSaidOfTheViewBeforeIsIgnoredWhileItWorks) {
  VoteOnStep1();
  Announce(kNext, {0, 3}, {0, 3});
  DriveTo("join view 1.2 at 0, keep");
  EXPECT_TRUE(protocol_.OnProceedWhileJoining({kView, Step(1)}).ok());
  protocol_.OnJoined(6, 0.0);
  Drive();
  Install(kEvaluation);
  DriveTo("evaluate 0, write the best");
  EXPECT_EQ(protocol_.OnProceedWhileEvaluating({kView, kStop}, now_), std::nullopt);
  EXPECT_FALSE(protocol_.abandoned());
}

TEST_F(WorkerProtocolTest, AViewWithoutThisWorkerIsRefused) {
  Welcomed(2);
  Announce(kView, {0, 3}, {});
  EXPECT_EQ(Failure(), "failure: view 1.1 is without this worker");
  EXPECT_EQ(protocol_.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(WorkerProtocolTest, AnOlderViewIsRefused) {
  Join(0);
  Announce(kNext, {0, 3}, {0, 3});
  Drive();
  Announce(kView, {0, 3}, {0, 3});
  EXPECT_EQ(Failure(), "failure: view 1.1 was announced after view 1.2");
}

TEST_F(WorkerProtocolTest, AStateThatTheViewSaysItHoldsAndItDoesNotIsRefused) {
  VoteOnStep1();
  Decided(Step(2));
  Decided(Step(3));
  Announce(kNext, {0, 3}, {0, 3});
  EXPECT_THAT(Failure(), HasSubstr("says that this worker holds the state after step 2"));
}

// --- Lost peers

TEST_F(WorkerProtocolTest, ALostPeerIsToldAndTheNextViewAwaited) {
  VoteOnStep1();
  Decide(Step(2));
  DriveTo("compute 2");
  protocol_.OnLostPeers({.shards = {1}, .sentence = "shard 1: connection reset"}, now_);
  EXPECT_TRUE(protocol_.idle());
  EXPECT_EQ(protocol_.deadline(), MonotonicTime::InfiniteFuture()) << "it does not give up by itself";
  EXPECT_THAT(Drive(), ElementsAre("lost peers of view 1.1: shard 1: connection reset"));
  Announce(kNext, {0, 3}, {0, 3});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 0, keep", "joined view 1.2 after 1"));
}

TEST_F(WorkerProtocolTest, APeerMayBeLostWhileItJoinsAndWhatIsHeldStays) {
  for (const bool restored : {false, true}) {
    Reset();
    Welcomed(0);
    Announce(kView, {0, 3}, {});
    DriveTo("join view 1.1 at 0, base");
    if (restored) protocol_.OnRestored();
    protocol_.OnLostPeers({.workers = {3}, .sentence = "worker 3 does not come"}, now_);
    EXPECT_THAT(Drive(), ElementsAre("lost peers of view 1.1: worker 3 does not come"));
    Announce(kNext, {0, 3}, {});
    EXPECT_THAT(Drive(), ElementsAre(restored ? "join view 1.2 at 0, keep" : "join view 1.2 at 0, base",
                                     "joined view 1.2 after 0"));
  }
}

TEST_F(WorkerProtocolTest, APeerMayBeLostWhileItEvaluatesAndWhatCrossesItIsIgnored) {
  VoteOnStep1(3);
  Decide(kEvaluation);
  DriveTo("evaluate 1");
  protocol_.OnLostPeers({.workers = {0}, .sentence = "the all-reduce lost a peer"}, now_);
  EXPECT_THAT(Drive(), ElementsAre("lost peers of view 1.1: the all-reduce lost a peer"));
  Proceeds(Step(2));  // the first worker has evaluated
  EXPECT_THAT(Drive(), IsEmpty());
  Announce(kNext, {0, 3}, {0, 3});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 1, keep", "joined view 1.2 after 1"));
}

TEST_F(WorkerProtocolTest, WorkThatNeedsPeersIsKnown) {
  EXPECT_TRUE(P::NeedsPeers(P::JoinView()));
  EXPECT_TRUE(P::NeedsPeers(P::ComputeStep()));
  EXPECT_TRUE(P::NeedsPeers(P::Evaluate()));
  EXPECT_FALSE(P::NeedsPeers(P::OpenData()));
  EXPECT_FALSE(P::NeedsPeers(P::Attach()));
  EXPECT_FALSE(P::NeedsPeers(P::ApplyDecision()));
  EXPECT_FALSE(P::NeedsPeers(P::BeginCheckpoint()));
  EXPECT_FALSE(P::NeedsPeers(P::FinishRun()));
}

// --- A lost coordinator

TEST_F(WorkerProtocolTest, ALostCoordinatorGetsBackWhatIsHeld) {
  VoteOnStep1(3);
  counters_.skipped = 5;
  DecideAndDrive(Step(2));
  Lose();
  EXPECT_THAT(Drive(), ElementsAre("attach"));
  EXPECT_EQ(registration_->role, Role::kWorker);
  EXPECT_EQ(registration_->id, 3u);
  EXPECT_EQ(registration_->token, "secret");
  ASSERT_TRUE(registration_->held.has_value());
  EXPECT_EQ(*registration_->held, protocol_.held());
  const HeldState& held = *registration_->held;
  EXPECT_EQ(held.view, kView);
  EXPECT_THAT(held.range_ends, ElementsAre(10));
  EXPECT_THAT(held.workers, ElementsAre(0, 3));
  EXPECT_EQ(held.state, last_->after());
  EXPECT_TRUE(held.whole);
  EXPECT_EQ(held.voted_step, 2u);
  EXPECT_EQ(held.last, last_);
  EXPECT_EQ(held.counters.skipped, 5u);
}

TEST_F(WorkerProtocolTest, AfterTheLossItRegistersAgainTellsOfItsDataAndWaitsForAView) {
  VoteOnStep1();
  Lose();
  EXPECT_THAT(Drive(), ElementsAre("attach"));
  EXPECT_TRUE(protocol_.idle());
  protocol_.OnWelcome({.id = 0, .config_yaml = "run", .token = "another"}, now_);
  EXPECT_THAT(Drive(), ElementsAre("dataset of 40")) << "its data is open";
  Decided(Step(2));  // with its vote, and others were told
  Announce({2, 1}, {0, 3}, {0, 3});
  EXPECT_THAT(Drive(), ElementsAre("apply 1", "join view 2.1 at 0, keep", "joined view 2.1 after 1"));
  Lose();
  Drive();
  EXPECT_EQ(registration_->token, "another");
}

TEST_F(WorkerProtocolTest, ItMayGetAnotherPlaceFromThenOn) {
  VoteOnStep1(3);
  Lose();
  Drive();
  Welcomed(7);
  Announce(kNext, {0, 7}, {0, 7});
  EXPECT_THAT(Drive(), ElementsAre("join view 1.2 at 1, keep", "joined view 1.2 after 0"));
}

TEST_F(WorkerProtocolTest, TheCoordinatorMayBeLostInEveryState) {
  struct Case {
    const char* what;
    std::function<void()> get_there;
    bool whole;
    uint64_t voted_step;
  };
  const std::vector<Case> cases = {
      {"waits for a view", [&] { Welcomed(0); }, false, 0},
      {"joins",
       [&] {
         Welcomed(0), Announce(kView, {0, 3}, {}), DriveTo("join view 1.1 at 0, base");
       },
       false, 0},
      {"waits for the Install", [&] { Join(0); }, true, 0},
      {"computes", [&] { Join(0), Install(Step(1)), DriveTo("compute 1"); }, true, 0},
      {"waits for a decision", [&] { VoteOnStep1(); }, true, 1},
      {"evaluates", [&] { Join(0), Install(kEvaluation), DriveTo("evaluate 0, write the best"); }, true, 0},
      {"waits for a Proceed", [&] { Join(0), InstallAndDrive(kEvaluation); }, true, 0},
      {"finishes", [&] { Join(0), Install(kStop), DriveTo("finish after 0, write the model"); }, true, 0},
      {"has finished", [&] { Join(0), InstallAndDrive(kStop); }, true, 0},
  };
  for (const Case& now : cases) {
    SCOPED_TRACE(now.what);
    Reset();
    now.get_there();
    if (protocol_.running()) protocol_.OnVoided();
    const HeldState held = protocol_.held();
    EXPECT_EQ(held.whole, now.whole);
    EXPECT_EQ(held.voted_step, now.voted_step);
    Lose();
    EXPECT_THAT(Drive(), ElementsAre("attach"));
    EXPECT_EQ(protocol_.held(), held) << "it keeps what it holds";
    Lose();  // again, before there was a Welcome
    EXPECT_THAT(Drive(), ElementsAre("attach"));
    protocol_.OnWelcome({.id = 0, .config_yaml = "run"}, now_);
    EXPECT_THAT(Drive(), ElementsAre("dataset of 40"));
    Announce({2, 1}, {0, 3}, {});
    EXPECT_THAT(Drive(), ElementsAre(now.whole ? "join view 2.1 at 0, keep" : "join view 2.1 at 0, base",
                                     "joined view 2.1 after 0"));
  }
}

TEST_F(WorkerProtocolTest, WhoHasSeenNoViewHoldsNothing) {
  Lose();
  Drive();
  EXPECT_EQ(registration_->held, std::nullopt);
  EXPECT_EQ(registration_->token, "") << "it never had one";
  Welcomed(0);
  Lose();
  Drive();
  EXPECT_EQ(registration_->held, std::nullopt);
  EXPECT_EQ(registration_->token, "secret");
}

TEST_F(WorkerProtocolTest, DataThatWereNotOpenYetAreOpenedAgain) {
  protocol_.OnWelcome({.id = 0, .config_yaml = "run"}, now_);
  DriveTo("open data of run");
  protocol_.OnVoided();
  Lose();
  EXPECT_THAT(Drive(), ElementsAre("attach"));
  protocol_.OnWelcome({.id = 0, .config_yaml = "run"}, now_);
  EXPECT_THAT(Drive(), ElementsAre("open data of run", "dataset of 40"));
}

TEST_F(WorkerProtocolTest, AWelcomeWithoutALossIsTakenAsAnotherRegistration) {
  VoteOnStep1();
  Welcomed(0);
  EXPECT_EQ(protocol_.held().voted_step, 1u);
  Decided(Step(2));
  Announce(kNext, {0, 3}, {0, 3});
  EXPECT_THAT(Drive(), ElementsAre("apply 1", "join view 1.2 at 0, keep", "joined view 1.2 after 1"));
}

TEST_F(WorkerProtocolTest, ACoordinatorWithAnotherConfigurationNeedsAnotherWorker) {
  VoteOnStep1();
  Lose();
  Drive();
  protocol_.OnWelcome({.id = 0, .config_yaml = "another run"}, now_);
  ASSERT_TRUE(protocol_.ended());
  EXPECT_EQ(protocol_.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(protocol_.status().message()), HasSubstr("another configuration"));
  EXPECT_THAT(protocol_.TakeMessages(), IsEmpty()) << "a Failure would end the run for all";
}

// --- Messages that do not fit

TEST_F(WorkerProtocolTest, MessagesOfALaterViewThanWasAnnouncedAreRefused) {
  for (const int kind : {0, 1, 2}) {
    Reset();
    Join(0);
    view_ = {1, 5};
    if (kind == 0) Install(Step(1));
    if (kind == 1) Decide(Step(2));
    if (kind == 2) Proceeds(kStop);
    EXPECT_THAT(Failure(), HasSubstr("of view 1.5 while this worker waits until all have joined view 1.1"));
  }
}

TEST_F(WorkerProtocolTest, ADecisionAboutAStepThatWasNotVotedForIsRefused) {
  VoteOnStep1();
  Decided(Step(2));
  EXPECT_THAT(DecideAndDrive(Step(3)), IsEmpty());
  EXPECT_EQ(
      Failure(),
      "failure: the coordinator sent a decision about step 2 of view 1.1 while this worker waits for the decision "
      "about step 1 of view 1.1");
}

TEST_F(WorkerProtocolTest, ADecisionOfAnotherLineageIsRefused) {
  VoteOnStep1();
  Decision decision = Decided(Step(2));
  decision.lr = 0.2;
  protocol_.OnDecision(decision, now_);
  EXPECT_THAT(Drive(), IsEmpty());
  EXPECT_THAT(Failure(), HasSubstr("leads to lineage"));
  EXPECT_EQ(protocol_.status().code(), absl::StatusCode::kInternal);
}

TEST_F(WorkerProtocolTest, AStepThatIsNotTheNextOneIsRefused) {
  Join(0);
  EXPECT_THAT(InstallAndDrive(Step(2)), IsEmpty());
  EXPECT_EQ(Failure(), "failure: the coordinator asked for step 2 of view 1.1 after step 0");
}

TEST_F(WorkerProtocolTest, MessagesOutOfTurnAreRefused) {
  Announce(kView, {0}, {});
  EXPECT_EQ(Failure(), "failure: the coordinator sent view 1.1 while this worker waits for the Welcome");
  Reset();
  Join(0);
  Decide(Step(2));
  EXPECT_THAT(Failure(), HasSubstr("a decision about step 1 of view 1.1 while this worker waits until all"));
  Reset();
  Join(0);
  InstallAndDrive(kEvaluation);
  Install(Step(1));
  EXPECT_THAT(Failure(), HasSubstr("the Install of view 1.1 while this worker waits for a Proceed of view 1.1"));
  Reset();
  Join(0);
  InstallAndDrive(kStop);
  Proceeds(Step(1));
  EXPECT_EQ(Failure(), "failure: the coordinator sent a Proceed of view 1.1 while this worker has finished");
}

// --- Errors and the end

TEST_F(WorkerProtocolTest, AnErrorIsToldToTheCoordinatorWhoseAnswerIsAwaitedForAWhile) {
  Join(0);
  Install(Step(1));
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
  Install(Step(1));
  FailNext(absl::DataLossError("train.rec: truncated"));
  EXPECT_EQ(Failure(), "failure: train.rec: truncated");
  EXPECT_EQ(protocol_.status(), absl::DataLossError("train.rec: truncated"));
}

TEST_F(WorkerProtocolTest, WhoHasFailedDoesNotTakePartAgain) {
  Join(0);
  Install(Step(1));
  FailNext(absl::DataLossError("train.rec: truncated"));
  Announce(kNext, {0, 3}, {0, 3});
  Welcomed(0);
  EXPECT_FALSE(protocol_.TakeWork().has_value());
  Lose();
  ASSERT_TRUE(protocol_.ended());
  EXPECT_EQ(protocol_.status(), absl::DataLossError("train.rec: truncated"));
  Lose();
  Announce({1, 3}, {0, 3}, {0, 3});
  EXPECT_FALSE(protocol_.TakeWork().has_value());
}

TEST_F(WorkerProtocolTest, TheCoordinatorsReasonThatCameBeforeExplainsMoreThanAnErrorHere) {
  Join(0);
  Install(Step(1));
  FailNext(absl::InternalError("the optimizer failed"));
  protocol_.OnClosed(absl::AbortedError("3 steps in a row were not finite"));
  EXPECT_EQ(protocol_.status(), absl::AbortedError("3 steps in a row were not finite"));
}

TEST_F(WorkerProtocolTest, AnErrorDropsTheWorkThatWouldFollow) {
  VoteOnStep1();
  Decide(With(kStop));
  FailNext(absl::InternalError("the optimizer failed"));
  EXPECT_FALSE(protocol_.TakeWork().has_value());
  Decide(Step(3));  // it had been sent before
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
  Reset();
  VoteOnStep1();
  Lose();
  Drive();
  protocol_.OnClosed(over);
  EXPECT_EQ(protocol_.status(), over);
  Reset();
  Join(0);
  InstallAndDrive(kStop);
  protocol_.OnClosed(over);
  EXPECT_EQ(protocol_.status(), over) << "others may not have finished";
}

}  // namespace
}  // namespace arcshard::worker
