#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"
#include "coordinator/run/run.h"

// How a run ends: deaths, failures, timeouts, stops.
namespace arcshard::coordinator {
namespace {

// Whether a participant with this error may have lost a peer that died, instead of being at fault itself.
bool BlamesAPeer(absl::StatusCode code) {
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

// --- Deaths and failures

// Whether the member's stream may end, and the member be silent, without being dead.
bool Run::MayLeave(Connection connection) const {
  const auto member = members_.all().find(connection);
  if (member == members_.all().end() || member->second.failed) return true;
  const auto* const stopping = std::get_if<Stopping>(&state_);
  return stopping != nullptr && stopping->finished.contains(connection);
}

void Run::Disconnected(Connection from, absl::string_view reason) {
  members_.ReleaseDevice(from);
  if (!MayLeave(from)) Died(from, reason);
}

void Run::Leave(Connection who, absl::string_view reason) {
  auto& gathering = std::get<Gathering>(state_);
  gathering.last_leave = absl::StrCat(members_.At(who).Name(), " left before the run began: ", reason);
  // Whoever comes in its place has as much time as the first one had.
  gathering.give_up_at = std::max(gathering.give_up_at, clock_->Now() + options_.config.cluster.connect_timeout);
  members_.Remove(who);
  Emit(CameOrWent{absl::StrCat(gathering.last_leave, "; its place is free again")});
  ReportProgress();
}

void Run::Died(Connection who, absl::string_view reason) {
  if (gathering()) {
    Emit(CloseStream{who, absl::AbortedError(reason)});
    Leave(who, reason);
    return;
  }
  const Member& member = members_.At(who);
  const int64_t pid = member.registration.pid;
  const std::string sentence =
      absl::StrCat(member.Name(), " died ", DescribeWhen(state_, step_), ": ", reason,
                   member.leaving.empty() ? "" : absl::StrCat(", after ", member.leaving, " had told it to end"));
  members_.ReleaseDevice(who);
  Fail(WithDetails(absl::AbortedError(sentence), {.pid = pid}));
}

absl::Status Run::Handle(Connection from, const FailureReport& report) {
  Member& member = members_.At(from);
  if (gathering() && BlamesAPeer(CodeOf(report.code))) {  // it was stopped, or lost its network
    Died(from, report.sentence);
    return absl::OkStatus();
  }
  member.failed = true;
  const absl::Status reported(CodeOf(report.code), absl::StrCat(member.Name(), ": ", report.sentence));
  const absl::Status failure = WithRemedy(WithDetails(reported, {report.cause, member.registration.pid}));
  if (!BlamesAPeer(failure.code())) {
    Fail(failure);
  } else if (!blame_.has_value()) {
    Emit(Note{std::string(failure.message())});
    blame_ = Blame{failure, clock_->Now() + options_.blame_grace};
  }
  return absl::OkStatus();
}

absl::Status Run::Handle(Connection from, const HeartbeatReport& report) {
  if (!report.stats.has_value()) return absl::OkStatus();
  Member& member = members_.At(from);
  member.stats = *report.stats;
  member.recent.Add(clock_->Now(), report.stats->phases);
  const bool may_verify = std::holds_alternative<Evaluating>(state_) || std::holds_alternative<Joining>(state_);
  if (may_verify && member.registration.role == Role::kWorker) ReportProgress();
  return absl::OkStatus();
}

// --- Time

void Run::Tick() {
  const MonotonicTime now = clock_->Now();
  const absl::Duration gap = now - last_tick_;
  last_tick_ = now;
  if (gap > options_.config.cluster.heartbeat_timeout / 2) {
    members_.ForgiveSilence(gap);  // this process was stopped or starved, so the silence may be its own
  }
  CheckTimeouts(now);
  CheckSilence(now);
  CheckpointDuringEvaluation();
}

void Run::CheckTimeouts(MonotonicTime now) {
  if (blame_.has_value() && now >= blame_->deadline) {
    Fail(blame_->failure);
  } else if (const auto* const gathering = std::get_if<Gathering>(&state_)) {
    if (members_.Counts().all_here() || now < gathering->give_up_at) return;
    const std::string& last_leave = gathering->last_leave;
    Fail(absl::DeadlineExceededError(
        absl::StrCat("gave up after ", absl::FormatDuration(options_.config.cluster.connect_timeout),
                     " (cluster.connect_timeout), still ", WaitingFor(), last_leave.empty() ? "" : "; ", last_leave)));
  } else if (auto* const stopping = std::get_if<Stopping>(&state_)) {
    if (checkpoints_.in_progress()) stopping->give_up_at = now + options_.stop_timeout;
    if (now < stopping->give_up_at) return;
    Fail(absl::DeadlineExceededError(
        absl::StrCat("gave up after ", absl::FormatDuration(options_.stop_timeout), ", still ", WaitingFor())));
  }
}

void Run::CheckSilence(MonotonicTime now) {
  for (const Connection connection : members_.SilentFor(options_.config.cluster.heartbeat_timeout, now)) {
    if (MayLeave(connection)) continue;
    const absl::Duration silence = now - members_.At(connection).last_heard;
    Died(connection,
         absl::StrCat("no sign of life for ", absl::FormatDuration(absl::Trunc(silence, absl::Milliseconds(100)))));
    if (!gathering()) return;  // the run has ended
  }
}

// --- Orderly ends

void Run::RequestStop() {
  if (std::holds_alternative<Ended>(state_) || stop_requested_) return;
  stop_requested_ = true;
  Emit(Note{"a stop was requested"});
  if (std::holds_alternative<Gathering>(state_)) End(absl::OkStatus(), absl::OkStatus());
  AbandonVerification();
}

absl::Status Run::Handle(Connection from, const LeavingReport& report) {
  Member& member = members_.At(from);
  if (!member.leaving.empty()) return absl::OkStatus();  // a repeat
  member.leaving = report.reason.empty() ? "a signal" : report.reason;
  const std::string sentence = absl::StrCat(member.Name(), " was told to end by ", member.leaving);
  if (std::holds_alternative<Gathering>(state_)) {
    Emit(CloseStream{from, absl::AbortedError(absl::StrCat(sentence, ", before the run began"))});
    Leave(from, absl::StrCat("it was told to end by ", member.leaving));
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
  auto* const stopping = std::get_if<Stopping>(&state_);
  if (stopping == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("has sent Finished ", DescribeWhen(state_, step_), ", but was not told to stop"));
  }
  if (checkpoints_.Owes(from)) {
    return absl::FailedPreconditionError("has sent Finished without its report about a checkpoint");
  }
  stopping->finished.insert(from);
  EndIfAllIsDone();
  return absl::OkStatus();
}

// Whether the run stops before its last step only because a member was told to end.
bool Run::StopsForALeaver() const {
  const auto* const stopping = std::get_if<Stopping>(&state_);
  return leaver_.has_value() && !stop_requested_ && stopping != nullptr && step_ < stopping->view->plan.total_steps();
}

void Run::EndIfAllIsDone() {
  const auto* const stopping = std::get_if<Stopping>(&state_);
  const bool all_finished = stopping != nullptr && stopping->finished.size() == members_.all().size();
  if (!all_finished || checkpoints_.in_progress()) {
    ReportProgress();
    return;
  }
  absl::Status result = checkpoints_.Outcome(step_);
  if (!StopsForALeaver()) {
    End(std::move(result), absl::OkStatus());  // even if the last checkpoint failed, the members did their part
    return;
  }
  const std::string sentence =
      absl::StrCat(leaver_->message(), ", so the run was stopped in order after step ", step_, "; it can be resumed");
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
  blame_.reset();
  for (const auto& [connection, member] : members_.all()) Emit(CloseStream{connection, closing});
  members_.Clear();
  checkpoints_.EndRequests(ended.Refusal());
  ReportProgress();
}

}  // namespace arcshard::coordinator
