#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/failure_details.h"
#include "coordinator/run/run.h"

// The end of a run: deaths, failures, time that runs out, stops. How it goes on is in run.cc.
namespace arcshard::coordinator {
namespace {

constexpr size_t kMostNames = 3;  // in a sentence

// What a participant says of others, not of itself: they may be the ones that died.
bool BlamesAPeer(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kAborted ||
         code == absl::StatusCode::kCancelled || code == absl::StatusCode::kDeadlineExceeded;
}

absl::StatusCode CodeOf(int code) {
  const bool known = code > 0 && code <= static_cast<int>(absl::StatusCode::kUnauthenticated);
  return known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown;
}

}  // namespace

// --- Deaths and failures

void Run::Disconnected(Connection from, absl::string_view reason) {
  leases_.Release(from);
  const auto member = members_.find(from);
  if (member == members_.end() || member->second.finished || member->second.failed) return;
  Died(from, reason);
}

void Run::Died(Connection who, absl::string_view reason) {
  leases_.Release(who);
  const Member& member = members_.at(who);
  Fail(WithDetails(absl::AbortedError(absl::StrCat(member.Name(), " died ", Whereabouts(), ": ", reason)),
                   {.pid = member.registration.pid}));
}

absl::Status Run::Handle(Connection from, const FailureReport& report) {
  Member& member = members_.at(from);
  member.failed = true;
  const absl::Status said(CodeOf(report.code), absl::StrCat(member.Name(), ": ", report.sentence));
  const absl::Status failure = WithAWayOut(WithDetails(said, {report.cause, member.registration.pid}));
  if (!BlamesAPeer(failure.code())) {
    Fail(failure);
  } else if (!blamed_.has_value()) {
    sink_->Note(std::string(failure.message()));
    blamed_ = failure;
    blame_deadline_ = clock_->Now() + options_.blame_grace;
  }
  return absl::OkStatus();
}

absl::Status Run::Handle(Connection from, const HeartbeatReport& report) {
  if (!report.stats.has_value()) return absl::OkStatus();
  Member& member = members_.at(from);
  member.stats = *report.stats;
  member.recent.Add(clock_->Now(), report.stats->phases);
  return absl::OkStatus();
}

void Run::Tick() {
  const absl::Time now = clock_->Now();
  const absl::Duration gap = now - last_tick_;
  last_tick_ = now;
  if (result_.has_value()) return;
  const RunConfig::Cluster& cluster = options_.config.cluster;
  if (gap > cluster.heartbeat_timeout / 2) {  // this process slept: the silence may be its own
    for (auto& [connection, member] : members_) member.last_heard += gap;
  }
  if (now >= blame_deadline_) {
    Fail(*blamed_);
    return;
  }
  if (phase_ == Phase::kGathering && !GatheringNow().all_here() && now - started_ >= cluster.connect_timeout) {
    Fail(absl::DeadlineExceededError(absl::StrCat("gave up after ", absl::FormatDuration(cluster.connect_timeout),
                                                  " (cluster.connect_timeout), still ", WaitingFor())));
    return;
  }
  if (phase_ == Phase::kStopping && checkpoints_.in_progress()) stop_deadline_ = now + options_.stop_timeout;
  if (now >= stop_deadline_) {
    Fail(absl::DeadlineExceededError(
        absl::StrCat("gave up after ", absl::FormatDuration(options_.stop_timeout), ", still ", WaitingFor())));
    return;
  }
  for (const auto& [connection, member] : members_) {
    const absl::Duration silence = now - member.last_heard;
    if (silence <= cluster.heartbeat_timeout || member.finished || member.failed) continue;
    Died(connection,
         absl::StrCat("no sign of life for ", absl::FormatDuration(absl::Trunc(silence, absl::Milliseconds(100)))));
    return;
  }
}

std::string Run::Whereabouts() const {
  switch (phase_) {
    case Phase::kGathering:
      return "before the run began";
    case Phase::kJoining:
      return "while joining";
    case Phase::kEvaluating:
      return absl::StrCat("during the evaluation after step ", step_);
    case Phase::kStopping:
      return absl::StrCat("while stopping after step ", step_);
    default:
      return absl::StrCat("at step ", step_ + 1);
  }
}

// --- Orderly ends

void Run::RequestStop() {
  if (result_.has_value() || stop_requested_) return;
  stop_requested_ = true;
  sink_->Note("a stop was requested");
  if (phase_ == Phase::kGathering) End(absl::OkStatus(), absl::OkStatus());
}

absl::Status Run::Handle(Connection from, const FinishedReport&) {
  if (phase_ != Phase::kStopping) {
    return absl::FailedPreconditionError(absl::StrCat("has finished ", Whereabouts(), ", but nobody was told to stop"));
  }
  if (checkpoints_.Owes(from)) {
    return absl::FailedPreconditionError("has finished without its report about a checkpoint");
  }
  members_.at(from).finished = true;
  EndIfAllIsDone();
  return absl::OkStatus();
}

void Run::EndIfAllIsDone() {
  const bool all =
      std::all_of(members_.begin(), members_.end(), [](const auto& entry) { return entry.second.finished; });
  if (phase_ == Phase::kStopping && all && !checkpoints_.in_progress()) {
    End(checkpoints_.Outcome(step_), absl::OkStatus());  // everybody has done what was theirs
  } else {
    ReportProgress();
  }
}

void Run::Fail(const absl::Status& result) { End(result, absl::AbortedError(result.message())); }

void Run::End(const absl::Status& result, const absl::Status& closing) {
  if (result_.has_value()) return;
  result_ = result;
  phase_ = result.ok() ? Phase::kFinished : Phase::kFailed;
  for (const auto& [connection, member] : members_) outbox_->Close(connection, closing);
  members_.clear();
  checkpoints_.EndRequests(absl::AbortedError(result.ok() ? "the run has ended" : result.message()));
  ReportProgress();
}

// --- Reports

void Run::Broadcast(const CoordinatorMessage& message) {
  for (const auto& [connection, member] : members_) outbox_->Send(connection, message);
}

void Run::Announce(const ViewAnnouncement& announcement) {
  ViewAnnouncement with_tokens = announcement;  // for the shards alone: no worker learns another's
  for (const auto& [connection, member] : members_) {
    if (member.registration.role == Role::kWorker) with_tokens.workers[member.id].token = member.token;
  }
  for (const auto& [connection, member] : members_) {
    outbox_->Send(connection, member.registration.role == Role::kShard ? with_tokens : announcement);
  }
}

void Run::ReportProgress() {
  progress_.phase = phase_;
  progress_.checkpoint_step = checkpoints_.newest().has_value() ? checkpoints_.newest()->step : 0;
  progress_.checkpoint_failure = checkpoints_.failure();
  progress_.waiting_for = phase_ == Phase::kFailed ? std::string(result_->message()) : WaitingFor();
  sink_->Report(progress_);
}

std::string Run::WaitingFor() const {
  if (phase_ == Phase::kGathering) return DescribeWaiting(GatheringNow());
  if (phase_ != Phase::kJoining && phase_ != Phase::kStopping) return "";
  std::vector<std::string> names;
  for (const auto& [connection, member] : members_) {
    if (phase_ == Phase::kJoining ? !member.joined : !member.finished) names.push_back(member.Name());
  }
  if (names.empty() && checkpoints_.in_progress()) {
    return absl::StrCat("waiting for the checkpoint of step ", checkpoints_.oldest_in_progress());
  }
  if (names.size() > kMostNames) {
    const size_t more = names.size() - kMostNames;
    names.resize(kMostNames);
    names.push_back(absl::StrCat(more, " more"));
  }
  return absl::StrCat("waiting for ", absl::StrJoin(names, ", "),
                      phase_ == Phase::kJoining ? " to join" : " to finish");
}

Gathering Run::GatheringNow() const {
  Gathering gathering{.shards_wanted = options_.config.cluster.shards,
                      .shards_here = Count(Role::kShard),
                      .workers_wanted = options_.config.cluster.workers,
                      .workers_here = Count(Role::kWorker)};
  for (const auto& [connection, member] : members_) gathering.datasets_here += member.data.has_value() ? 1 : 0;
  return gathering;
}

uint32_t Run::Count(Role role) const {
  return static_cast<uint32_t>(std::count_if(
      members_.begin(), members_.end(), [&](const auto& entry) { return entry.second.registration.role == role; }));
}

const Run::Member* Run::LowestWorker() const {
  for (const auto& [connection, member] : members_) {
    if (member.registration.role == Role::kWorker && member.id == 0) return &member;
  }
  return nullptr;
}

}  // namespace arcshard::coordinator
