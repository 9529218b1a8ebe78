#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "coordinator/run/run.h"

// How a run verifies. An evaluation that a loss interrupts is repeated.
namespace arcshard::coordinator {
namespace {

std::string DescribeSets(const std::vector<VerificationReport>& sets) {
  return absl::StrJoin(sets, "; ", [](std::string* out, const VerificationReport& set) {
    absl::StrAppend(out, set.name, ": ", DescribeFolds(set), "; ", DescribeAllPairs(set));
  });
}

}  // namespace

absl::Status Run::Handle(Connection from, const EvaluationReport& report) {
  ASSIGN_OR_RETURN(const bool current, IsCurrent(from, report.view, "Evaluated"));
  if (!current) return absl::OkStatus();
  const Member* const evaluator = members_.LowestWorker(report.view);
  if (&members_.At(from) != evaluator) {
    return absl::InvalidArgumentError(absl::StrCat("only ", evaluator->Name(), " reports evaluations"));
  }
  // It crossed the Proceed that abandons it.
  if (std::holds_alternative<Stopping>(state_) && MustStop()) return absl::OkStatus();
  const auto* const evaluating = std::get_if<Evaluating>(&state_);
  if (evaluating == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("reported an evaluation that is not due, ", DescribeWhen(state_, at_.step())));
  }
  verification_times_.End(clock_->Now());
  CountVerification(report);
  GoOnAfterEvaluation(SharedView(evaluating->view));
  return absl::OkStatus();
}

void Run::CountVerification(const EvaluationReport& report) {
  const uint64_t step = at_.step();
  at_.counters.verified_step = step;
  progress_.verification_failure = report.problem;
  if (!report.problem.empty()) {
    Emit(Note{absl::StrCat("warning: the verification after step ", step, " is incomplete: ", report.problem,
                           "; training continues")});
  }
  if (report.sets.empty()) return;
  progress_.verification = report.sets;
  progress_.verification_step = step;
  Emit(Note{absl::StrCat("verification after step ", step, ": ", DescribeSets(report.sets))});
  // The mean over some of the sets cannot be compared with that over all.
  if (report.problem.empty()) at_.counters.best.Take(step, report.sets);
}

// The run is to stop: workers need not verify any more, nor, before the first step, check what they will verify.
void Run::AbandonVerification() {
  if (const auto* const joining = std::get_if<Joining>(&state_); joining != nullptr) {
    const Proceed proceed{views_.newest(), Next{NextAction::kStop, {}, false}, at_.counters};
    for (const auto& [connection, member] : members_.Of(views_.newest())) {
      const bool may_check = member->registration.role == Role::kWorker && !joining->joined.contains(connection);
      if (may_check) Emit(MessageTo(connection, proceed));
    }
  } else if (const auto* const evaluating = std::get_if<Evaluating>(&state_); evaluating != nullptr) {
    Emit(Note{absl::StrCat("the verification after step ", at_.step(), " is abandoned")});
    GoOnAfterEvaluation(SharedView(evaluating->view));
  }
}

// Tells the members what follows an evaluation.
void Run::GoOnAfterEvaluation(const SharedView& view) {
  const Next next = NextAfter(*view, /*wants_checkpoint=*/false);
  Broadcast(Proceed{view->announcement.view, next, at_.counters});
  Apply(view, next);
  LetIn();
}

}  // namespace arcshard::coordinator
