#include <cassert>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/protocol/lineage.h"
#include "coordinator/members/holdings.h"
#include "coordinator/policy/counting.h"
#include "coordinator/policy/decisions.h"
#include "coordinator/run/run.h"

// A run from its first step to its last: votes and decisions.
namespace arcshard::coordinator {
namespace {

std::vector<Voter> VotersAmong(const std::vector<std::pair<Connection, Member*>>& members) {
  std::vector<Voter> voters;
  for (const auto& [connection, member] : members) {
    voters.push_back({member->seat(), member->Name(), member->registration.pid});
  }
  return voters;
}

}  // namespace

absl::Status Run::Handle(Connection from, const ReadyVote& vote) {
  ASSIGN_OR_RETURN(const bool current, IsCurrent(from, vote.view, "Ready"));
  if (!current) return absl::OkStatus();
  const uint64_t step = at_.step();
  if (vote.step == step && step > 0) return absl::OkStatus();  // a repeat: that step was decided by all votes
  auto* const training = std::get_if<Training>(&state_);
  if (training == nullptr || vote.step != training->ledger.step()) {
    return absl::FailedPreconditionError(absl::StrCat("voted for step ", vote.step, " ", DescribeWhen(state_, step)));
  }
  Member& member = members_.At(from);
  if (!training->ledger.Add(member.seat(), vote, clock_->Now())) return absl::OkStatus();  // a repeat
  NoteVote(vote, checkpoints_.base().point, KeepsLogs(options_.config), &member);
  if (training->ledger.complete()) Decide();
  return absl::OkStatus();
}

void Run::Decide() {
  const auto& training = std::get<Training>(state_);
  const uint64_t step = at_.step() + 1;
  assert(training.ledger.step() == step);
  const SharedView view = training.view;
  const StepVerdict verdict = training.ledger.Verdict();
  const absl::Duration gathered_votes_for = clock_->Now() - *training.ledger.first_vote_at();
  at_.point.step = step;
  CountDecision(*view, verdict, gathered_votes_for);
  const absl::Status status = CheckCounters(at_.counters, options_.config, view->data.samples, step, verdict);
  if (!status.ok()) {
    Fail(status);
    return;
  }
  Decision decision{
      .view = view->announcement.view, .step = step, .outcome = verdict.outcome, .lr = progress_.lr, .next = {}};
  decision.lineage = ExtendLineage(at_.point.lineage, decision);
  decision.next = NextAfter(*view, verdict.wants_checkpoint);
  decision.counters = at_.counters;
  at_.point = decision.after();
  at_.last = decision;
  for (const auto& [connection, member] : members_.Of(decision.view)) NoteDecided(decision, member);
  Broadcast(decision);
  Apply(view, decision.next);
  LetIn();
}

void Run::CountDecision(const FormedView& view, const StepVerdict& verdict, absl::Duration gathered_votes_for) {
  const uint64_t step = at_.step();
  const StepPlan plan = view.plan.PlanOf(step);
  CountStep(verdict, /*begins_epoch=*/plan.first_sample == 0, &at_.counters);
  throughput_.StepDone(clock_->Now(), plan.batch_size());
  Emit(StepSummary{step, verdict.outcome, plan.batch_size(), gathered_votes_for});
  if (verdict.outcome == Outcome::kSkip) Emit(Note{absl::StrCat("step ", step, " is skipped: ", verdict.reason)});
  progress_.epoch = view.plan.EpochsAfter(step);
  progress_.loss = verdict.loss;
  progress_.target_cosine = verdict.target_cosine;
  progress_.lr = view.schedule.LearningRate(step);
  progress_.samples_per_second = throughput_.samples_per_second();
}

// What follows the state that the run is at.
Next Run::NextAfter(const FormedView& view, bool wants_checkpoint) const {
  const uint64_t step = at_.step(), total_steps = view.plan.total_steps();
  const bool verifies = !options_.config.verification.sets.empty() && at_.counters.verified_step != step;
  Next next;
  next.action = DecideNext({.step = step,
                            .total_steps = total_steps,
                            .stop_requested = MustStop(),
                            .evaluation_due = verifies && view.plan.EvaluationDueAfter(step)});
  if (next.action == NextAction::kStep) next.plan = view.plan.PlanOf(step + 1);
  next.checkpoint = checkpoints_.Due(
      step, {.ending = step >= total_steps, .stopping = next.action == NextAction::kStop, .wanted = wants_checkpoint},
      clock_->Now());
  return next;
}

// Enters the state that an announced next action leads to.
void Run::Apply(const SharedView& view, const Next& next) {
  if (next.checkpoint) BeginCheckpoint(*view);
  switch (next.action) {
    case NextAction::kStep:
      if (auto* const training = std::get_if<Training>(&state_); training != nullptr) {
        assert(training->view == view && training->ledger.step() == at_.step());
        training->ledger.BeginNextStep();
        break;
      }
      throughput_.Resume(clock_->Now());
      state_ = Training{view, StepLedger(at_.step() + 1, VotersAmong(members_.Of(view->announcement.view)))};
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

}  // namespace arcshard::coordinator
