#include <cassert>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "coordinator/policy/decisions.h"
#include "coordinator/run/run.h"

// A run from its first step to its last: votes, decisions, evaluations.
namespace arcshard::coordinator {
namespace {

std::string DescribeSets(const std::vector<VerificationReport>& sets) {
  return absl::StrJoin(sets, "; ", [](std::string* out, const VerificationReport& set) {
    absl::StrAppend(out, set.name, ": ", DescribeFolds(set), "; ", DescribeAllPairs(set));
  });
}

}  // namespace

void Run::BeginTraining(const SharedView& view) {
  began_ = true;
  checkpoints_.Start(clock_->Now());
  const Decision decision{.view = view->announcement.view,
                          .step = step_,
                          .outcome = Outcome::kCommit,
                          .lr = 0.0,
                          .next = NextAfter(*view, step_, true)};
  Broadcast(decision);
  Apply(view, decision.next);
}

std::vector<Voter> Run::Voters() const {
  std::vector<Voter> voters;
  for (const auto& [connection, member] : members_.all()) {
    voters.push_back({member.seat(), member.Name(), member.registration.pid});
  }
  return voters;
}

// --- Votes and decisions

absl::Status Run::Handle(Connection from, const ReadyVote& vote) {
  RETURN_IF_ERROR(CheckView(vote.view, "Ready"));
  if (vote.step == step_ && step_ > 0) return absl::OkStatus();  // a repeat: that step was decided by all votes
  auto* const training = std::get_if<Training>(&state_);
  if (training == nullptr || vote.step != training->ledger.step()) {
    return absl::FailedPreconditionError(absl::StrCat("voted for step ", vote.step, " ", DescribeWhen(state_, step_)));
  }
  if (!training->ledger.Add(members_.At(from).seat(), vote, clock_->Now())) return absl::OkStatus();  // a repeat
  if (training->ledger.complete()) Decide();
  return absl::OkStatus();
}

void Run::Decide() {
  const auto& training = std::get<Training>(state_);
  assert(training.ledger.step() == step_ + 1);
  const SharedView view = training.view;
  const StepVerdict verdict = training.ledger.Verdict();
  const absl::Duration gathered_votes_for = clock_->Now() - *training.ledger.first_vote_at();
  ++step_;
  CountDecision(*view, verdict, gathered_votes_for);
  const absl::Status status = counters_.Check(options_.config, view->data.samples, step_, verdict);
  if (!status.ok()) {
    Fail(status);
    return;
  }
  const Decision decision{.view = view->announcement.view,
                          .step = step_,
                          .outcome = verdict.outcome,
                          .lr = progress_.lr,
                          .next = NextAfter(*view, step_, true)};
  Broadcast(decision);
  Apply(view, decision.next);
}

void Run::CountDecision(const FormedView& view, const StepVerdict& verdict, absl::Duration gathered_votes_for) {
  const StepPlan plan = view.plan.PlanOf(step_);
  counters_.CountStep(verdict, /*begins_epoch=*/plan.first_sample == 0);
  throughput_.StepDone(clock_->Now(), plan.batch_size());
  Emit(StepSummary{step_, verdict.outcome, plan.batch_size(), gathered_votes_for});
  if (verdict.outcome == Outcome::kSkip) Emit(Note{absl::StrCat("step ", step_, " is skipped: ", verdict.reason)});
  progress_.epoch = view.plan.EpochsAfter(step_);
  progress_.loss = verdict.loss;
  progress_.target_cosine = verdict.target_cosine;
  progress_.lr = view.schedule.LearningRate(step_);
  progress_.samples_per_second = throughput_.samples_per_second();
}

Next Run::NextAfter(const FormedView& view, uint64_t step, bool may_evaluate) const {
  const uint64_t total_steps = view.plan.total_steps();
  const bool due = may_evaluate && !options_.config.verification.sets.empty() && view.plan.EvaluationDueAfter(step);
  Next next;
  next.action =
      DecideNext({.step = step, .total_steps = total_steps, .stop_requested = MustStop(), .evaluation_due = due});
  if (next.action == NextAction::kStep) next.plan = view.plan.PlanOf(step + 1);
  next.checkpoint = checkpoints_.Due(step, step >= total_steps, next.action == NextAction::kStop, clock_->Now());
  return next;
}

// Enters the state that an announced next action leads to.
void Run::Apply(const SharedView& view, const Next& next) {
  if (next.checkpoint) BeginCheckpoint(*view);
  switch (next.action) {
    case NextAction::kStep:
      if (!std::holds_alternative<Training>(state_)) throughput_.Resume(clock_->Now());
      state_ = Training{view, StepLedger(step_ + 1, Voters())};
      break;
    case NextAction::kEvaluate:
      state_ = Evaluating{view};
      verification_times_.Begin(clock_->Now());
      members_.ForgetVerification();
      break;
    case NextAction::kStop:
      state_ = Stopping{view, clock_->Now() + options_.stop_timeout};
      break;
  }
  ReportProgress();
}

// --- Evaluations

absl::Status Run::Handle(Connection from, const EvaluationReport& report) {
  RETURN_IF_ERROR(CheckView(report.view, "Evaluated"));
  const Member* const evaluator = members_.LowestWorker();
  if (&members_.At(from) != evaluator) {
    return absl::InvalidArgumentError(absl::StrCat("only ", evaluator->Name(), " reports evaluations"));
  }
  // It crossed the Proceed that abandons it.
  if (std::holds_alternative<Stopping>(state_) && MustStop()) return absl::OkStatus();
  const auto* const evaluating = std::get_if<Evaluating>(&state_);
  if (evaluating == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("reported an evaluation that is not due, ", DescribeWhen(state_, step_)));
  }
  verification_times_.End(clock_->Now());
  CountVerification(report);
  const SharedView view = evaluating->view;
  Continue(view, NextAfter(*view, step_, false));
  return absl::OkStatus();
}

void Run::CountVerification(const EvaluationReport& report) {
  progress_.verification_failure = report.problem;
  if (!report.problem.empty()) {
    Emit(Note{absl::StrCat("warning: the verification after step ", step_, " is incomplete: ", report.problem,
                           "; training continues")});
  }
  if (report.sets.empty()) return;
  progress_.verification = report.sets;
  progress_.verification_step = step_;
  Emit(Note{absl::StrCat("verification after step ", step_, ": ", DescribeSets(report.sets))});
  // The mean over some of the sets cannot be compared with that over all.
  if (report.problem.empty()) counters_.CountVerification(step_, report.sets);
}

// The run is to stop: workers need not verify any more, nor, before the first step, check what they will verify.
void Run::AbandonVerification() {
  if (const auto* const joining = std::get_if<Joining>(&state_); joining != nullptr) {
    const Proceed proceed{joining->view->announcement.view, Next{NextAction::kStop, {}, false}};
    for (const auto& [connection, member] : members_.all()) {
      const bool may_check = member.registration.role == Role::kWorker && !joining->joined.contains(connection);
      if (may_check) Emit(SendMessage{connection, proceed});
    }
  } else if (const auto* const evaluating = std::get_if<Evaluating>(&state_); evaluating != nullptr) {
    const SharedView view = evaluating->view;
    Emit(Note{absl::StrCat("the verification after step ", step_, " is abandoned")});
    Continue(view, NextAfter(*view, step_, false));
  }
}

// Tells the members what follows an evaluation, or what is to be done during one.
void Run::Continue(const SharedView& view, const Next& next) {
  Broadcast(Proceed{view->announcement.view, next});
  Apply(view, next);
}

}  // namespace arcshard::coordinator
