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

void Run::Died(Connection who, absl::string_view reason) {
  const Member& member = members_.At(who);
  const int64_t pid = member.registration.pid;
  const std::string sentence = absl::StrCat(member.Name(), " died ", DescribeWhen(state_, step_), ": ", reason);
  members_.ReleaseDevice(who);
  Fail(WithDetails(absl::AbortedError(sentence), {.pid = pid}));
}

absl::Status Run::Handle(Connection from, const FailureReport& report) {
  Member& member = members_.At(from);
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
  const bool verifies = std::holds_alternative<Evaluating>(state_) && member.registration.role == Role::kWorker;
  if (verifies) ReportProgress();
  return absl::OkStatus();
}

// --- Time

void Run::Tick() {
  const absl::Time now = clock_->Now();
  const absl::Duration gap = now - last_tick_;
  last_tick_ = now;
  if (gap > options_.config.cluster.heartbeat_timeout / 2) {
    members_.ForgiveSilence(gap);  // this process was stopped or starved, so the silence may be its own
  }
  CheckTimeouts(now);
  CheckSilence(now);
  CheckpointDuringEvaluation();
}

void Run::CheckTimeouts(absl::Time now) {
  if (blame_.has_value() && now >= blame_->deadline) {
    Fail(blame_->failure);
  } else if (const auto* const gathering = std::get_if<Gathering>(&state_)) {
    if (members_.Counts().all_here() || now < gathering->give_up_at) return;
    Fail(absl::DeadlineExceededError(absl::StrCat("gave up after ",
                                                  absl::FormatDuration(options_.config.cluster.connect_timeout),
                                                  " (cluster.connect_timeout), still ", WaitingFor())));
  } else if (auto* const stopping = std::get_if<Stopping>(&state_)) {
    if (checkpoints_.in_progress()) stopping->give_up_at = now + options_.stop_timeout;
    if (now < stopping->give_up_at) return;
    Fail(absl::DeadlineExceededError(
        absl::StrCat("gave up after ", absl::FormatDuration(options_.stop_timeout), ", still ", WaitingFor())));
  }
}

void Run::CheckSilence(absl::Time now) {
  for (const Connection connection : members_.SilentFor(options_.config.cluster.heartbeat_timeout, now)) {
    if (MayLeave(connection)) continue;
    const absl::Duration silence = now - members_.At(connection).last_heard;
    Died(connection,
         absl::StrCat("no sign of life for ", absl::FormatDuration(absl::Trunc(silence, absl::Milliseconds(100)))));
    return;
  }
}

// --- Orderly ends

void Run::RequestStop() {
  if (std::holds_alternative<Ended>(state_) || stop_requested_) return;
  stop_requested_ = true;
  Emit(Note{"a stop was requested"});
  if (std::holds_alternative<Gathering>(state_)) End(absl::OkStatus(), absl::OkStatus());
  if (std::holds_alternative<Evaluating>(state_)) AbandonEvaluation();
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

void Run::EndIfAllIsDone() {
  const auto* const stopping = std::get_if<Stopping>(&state_);
  const bool all_finished = stopping != nullptr && stopping->finished.size() == members_.all().size();
  if (all_finished && !checkpoints_.in_progress()) {
    End(checkpoints_.Outcome(step_),
        absl::OkStatus());  // even if the last checkpoint failed, the members did their part
  } else {
    ReportProgress();
  }
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
