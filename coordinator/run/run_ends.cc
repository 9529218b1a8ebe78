#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "coordinator/run/run.h"

// How a run ends: stops, members that are told to end, failures.
namespace arcshard::coordinator {
namespace {

// Whether a participant with this error was stopped or lost its network, instead of being at fault itself.
bool WasCutOff(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kAborted ||
         code == absl::StatusCode::kCancelled || code == absl::StatusCode::kDeadlineExceeded;
}

absl::StatusCode CodeOf(int code) {
  const bool known = code > 0 && code <= static_cast<int>(absl::StatusCode::kUnauthenticated);
  return known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown;
}

// Adds the remedy to the failure of a member that could not read the checkpoint.
absl::Status WithRemedy(const absl::Status& failure) {
  const FailureDetails details = DetailsOf(failure);
  if (details.cause != FailureCause::kCheckpointUnreadable) return failure;
  return WithDetails(
      absl::Status(failure.code(),
                   absl::StrCat(failure.message(), "; --allow-older resumes from the newest checkpoint that is whole")),
      details);
}

}  // namespace

// --- Failures

absl::Status Run::Handle(Connection from, const FailureReport& report) {
  const Member& member = members_.At(from);
  if (WasCutOff(CodeOf(report.code))) {  // another process may take its place
    Out(from, report.sentence, absl::AbortedError(report.sentence));
    GoOn();
    return absl::OkStatus();
  }
  const absl::Status reported(CodeOf(report.code), absl::StrCat(member.Name(), ": ", report.sentence));
  Fail(WithRemedy(WithDetails(reported, {report.cause, member.registration.pid})));
  return absl::OkStatus();
}

// --- Orderly ends

void Run::RequestStop() {
  if (std::holds_alternative<Ended>(state_) || stop_requested_) return;
  stop_requested_ = true;
  Emit(Note{"a stop was requested"});
  if (AtStart()) {
    End(absl::OkStatus(), absl::OkStatus());
  } else {
    AbandonVerification();
  }
}

absl::Status Run::Handle(Connection from, const LeavingReport& report) {
  Member& member = members_.At(from);
  if (!member.leaving.empty()) return absl::OkStatus();  // a repeat
  member.leaving = report.reason.empty() ? "a signal" : report.reason;
  const std::string sentence = absl::StrCat(member.Name(), " was told to end by ", member.leaving);
  if (AtStart() || !TakesPart(member)) {
    const absl::string_view before = AtStart() ? ", before the run began" : ", before it took part";
    Out(from, absl::StrCat("it was told to end by ", member.leaving),
        absl::AbortedError(absl::StrCat(sentence, before)));
    GoOn();
    return absl::OkStatus();
  }
  Emit(Note{sentence});
  if (leaver_.has_value()) return absl::OkStatus();
  leaver_ =
      WithDetails(absl::AbortedError(sentence), {.cause = FailureCause::kMemberLeft, .pid = member.registration.pid});
  AbandonVerification();
  return absl::OkStatus();
}

absl::Status Run::Handle(Connection from, const FinishedReport&) {
  const Member& member = members_.At(from);
  const bool is_joining = std::holds_alternative<Gathering>(state_) || std::holds_alternative<Joining>(state_);
  if (is_joining || !TakesPart(member)) return absl::OkStatus();  // it has finished in a view before
  auto* const stopping = std::get_if<Stopping>(&state_);
  if (stopping == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("has sent Finished ", DescribeWhen(state_, at_.step()), ", but was not told to stop"));
  }
  if (checkpoints_.Owes(member.seat())) {
    return absl::FailedPreconditionError("has sent Finished without its report about a checkpoint");
  }
  stopping->finished.insert(from);
  EndIfAllIsDone();
  return absl::OkStatus();
}

void Run::CheckStopping(MonotonicTime now) {
  auto* const stopping = std::get_if<Stopping>(&state_);
  if (stopping == nullptr) return;
  if (checkpoints_.in_progress()) stopping->give_up_at = now + options_.stop_timeout;
  if (now < stopping->give_up_at) return;
  Fail(absl::DeadlineExceededError(
      absl::StrCat("gave up after ", absl::FormatDuration(options_.stop_timeout), ", still ", WaitingFor())));
}

// Whether the run stops before its last step only because a member was told to end.
bool Run::StopsForALeaver() const {
  const auto* const stopping = std::get_if<Stopping>(&state_);
  return leaver_.has_value() && !stop_requested_ && stopping != nullptr &&
         at_.step() < stopping->view->plan.total_steps();
}

void Run::EndIfAllIsDone() {
  const auto* const stopping = std::get_if<Stopping>(&state_);
  const bool all_finished =
      stopping != nullptr && stopping->finished.size() == members_.Of(stopping->view->announcement.view).size();
  if (!all_finished || checkpoints_.in_progress()) {
    ReportProgress();
    return;
  }
  absl::Status result = checkpoints_.Outcome(at_.step());
  if (!StopsForALeaver()) {
    End(std::move(result), absl::OkStatus());  // even if the last checkpoint failed, the members did their part
    return;
  }
  const std::string sentence = absl::StrCat(leaver_->message(), ", so the run was stopped in order after step ",
                                            at_.step(), "; it can be resumed");
  if (result.ok()) result = WithDetails(absl::AbortedError(sentence), DetailsOf(*leaver_));
  End(std::move(result), absl::AbortedError(sentence));
}

void Run::Fail(const absl::Status& result) {
  assert(!result.ok());
  End(result, absl::AbortedError(result.message()));
}

void Run::End(absl::Status result, const absl::Status& closing) {
  if (std::holds_alternative<Ended>(state_)) return;
  const Ended ended{std::move(result), ViewOf(state_)};
  state_ = ended;
  for (const auto& [connection, member] : members_.all()) Emit(CloseStream{connection, closing});
  for (const Connection connection : spares_.All()) Emit(CloseStream{connection, closing});
  members_.Clear();
  spares_.Clear();
  checkpoints_.EndRequests(ended.Refusal());
  ReportProgress();
}

}  // namespace arcshard::coordinator
