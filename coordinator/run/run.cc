#include "coordinator/run/run.h"

#include <algorithm>
#include <cassert>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"

// What all states of a run have in common: inputs, and who hears what.
namespace arcshard::coordinator {
namespace {

Checkpoints::Options CheckpointOptionsOf(const RunOptions& options, const Clock& clock) {
  Checkpoints::Options made = {.enabled = options.takes_checkpoints,
                               .config = options.config.checkpoint,
                               .run_folder = options.config.run.folder};
  if (options.resume.has_value()) {
    const Manifest& manifest = options.resume->manifest;
    made.resumed = CheckpointBase::Of(options.resume->folder, manifest);
    absl::Time created;
    std::string error;  // ignored: a time that cannot be parsed counts as none
    if (absl::ParseTime(absl::RFC3339_full, manifest.created, &created, &error)) {
      // The date may have been set back since then.
      made.resumed_at = clock.Now() - std::max(clock.WallTime() - created, absl::ZeroDuration());
    }
  }
  return made;
}

}  // namespace

Run::Run(Options options, const Clock* clock)
    : options_(std::move(options)),
      clock_(clock),
      started_(clock->Now()),
      state_(Gathering{started_ + options_.config.cluster.connect_timeout}),
      members_({.shards = options_.config.cluster.shards,
                .workers = options_.config.cluster.workers,
                .new_token = options_.new_token,
                .lease_history = options_.lease_history}),
      views_(&options_.config, options_.incarnation, options_.resume.has_value() ? &*options_.resume : nullptr),
      last_tick_(started_),
      next_pulse_(started_ + options_.config.cluster.heartbeat_interval),
      suspicions_(options_.blame_grace),
      checkpoints_(CheckpointOptionsOf(options_, *clock), &outputs_) {
  progress_.epochs = options_.config.schedule.epochs;
  if (options_.resume.has_value()) ResumeFrom(*options_.resume);
  ReportProgress();
}

std::optional<absl::Status> Run::result() const {
  const auto* const ended = std::get_if<Ended>(&state_);
  return ended == nullptr ? std::nullopt : std::optional(ended->result);
}

bool Run::IsMember(Connection connection) const {
  return members_.all().contains(connection) || spares_.Contains(connection);
}

// --- Inputs

void Run::Receive(Connection from, const ParticipantMessage& message) {
  if (const auto* const ended = std::get_if<Ended>(&state_)) {
    Close(from, ended->Refusal());
    return;
  }
  if (closed_.contains(from)) return;
  const bool registers = std::holds_alternative<Registration>(message);
  if (Member* const member = members_.Find(from); member != nullptr) {
    member->last_heard = clock_->Now();
  } else if (spares_.Contains(from)) {
    spares_.Heard(from, clock_->Now());
    if (std::holds_alternative<HeartbeatReport>(message)) return;
    const bool leaves = std::holds_alternative<LeavingReport>(message);
    Refuse(from, leaves ? absl::AbortedError("it was told to end while it waited as a spare")
                        : absl::FailedPreconditionError("a spare sends only signs of life before its Welcome"));
    return;
  } else if (!registers) {
    Refuse(from, absl::InvalidArgumentError("the first message of a participant must be Register"));
    return;
  }
  const absl::Status status = std::visit([&](const auto& one) { return Handle(from, one); }, message);
  if (!status.ok()) Refuse(from, status);
}

void Run::Refuse(Connection from, const absl::Status& status) {
  assert(!status.ok());
  Close(from, status);
  spares_.Remove(from);
  const Member* const member = members_.Find(from);
  if (member == nullptr) return;
  if (AtStart() || !TakesPart(*member)) {
    Leave(from, status.message());
    GoOn();
    return;
  }
  const absl::Status result = WithDetails(Annotate(status, member->Name()), {.pid = member->registration.pid});
  members_.Remove(from);
  Fail(result);
}

void Run::Tick() {
  if (std::holds_alternative<Ended>(state_)) return;
  const MonotonicTime now = clock_->Now();
  const absl::Duration gap = now - last_tick_;
  last_tick_ = now;
  if (gap > options_.config.cluster.heartbeat_timeout / 2) {
    // This process was stopped or starved, so the silence may be its own.
    members_.ForgiveSilence(gap);
    spares_.ForgiveSilence(gap);
  }
  SendPulses(now);
  CheckGathering(now);
  CheckStopping(now);
  CheckSilence(now);
  CheckSuspicions(now);
  CheckpointDuringEvaluation();
  // How far workers have come, as their heartbeats say: one report for all of them.
  const bool may_verify = std::holds_alternative<Evaluating>(state_) || std::holds_alternative<Joining>(state_);
  if (std::exchange(heard_stats_, false) && may_verify) ReportProgress();
}

absl::Status Run::Handle(Connection from, const HeartbeatReport& report) {
  if (!report.stats.has_value()) return absl::OkStatus();
  heard_stats_ = true;
  Member& member = members_.At(from);
  member.stats = *report.stats;
  member.recent.Add(clock_->Now(), report.stats->phases);
  return absl::OkStatus();
}

// --- Who takes part

// Whether nothing has begun yet that a participant could harm.
bool Run::AtStart() const {
  const auto* const gathering = std::get_if<Gathering>(&state_);
  return gathering != nullptr && !gathering->recovers;
}

bool Run::TakesPart(const Member& member) const { return views_.any() && member.view == views_.newest(); }

// Whether a message is of the view in force; false: it is of an older one, or of one that is void by now, and to be
// ignored.
absl::StatusOr<bool> Run::IsCurrent(Connection from, const View& view, absl::string_view what) {
  const View newest = views_.newest();
  if (view < newest || (view == newest && std::holds_alternative<Gathering>(state_))) return false;
  if (!views_.any()) return absl::FailedPreconditionError(absl::StrCat("sent ", what, " before there is a view"));
  if (view > newest) {
    return absl::FailedPreconditionError(
        absl::StrCat("sent ", what, " of ", ToString(view), ", but the run is in ", ToString(newest)));
  }
  if (TakesPart(members_.At(from))) return true;
  return absl::FailedPreconditionError(
      absl::StrCat("sent ", what, " of ", ToString(view), ", in which it takes no part"));
}

// --- Who hears what

void Run::Close(Connection connection, const absl::Status& status) {
  closed_.insert(connection);
  Emit(CloseStream{connection, status});
}

void Run::Broadcast(CoordinatorMessage message) {
  const auto shared = std::make_shared<const CoordinatorMessage>(std::move(message));
  for (const auto& [connection, member] : members_.Of(views_.newest())) {
    if (!member->gone) Emit(SendMessage{connection, shared});
  }
}

void Run::SendPulses(MonotonicTime now) {
  if (now < next_pulse_) return;
  next_pulse_ = now + options_.config.cluster.heartbeat_interval;
  const auto pulse = std::make_shared<const CoordinatorMessage>(Pulse());
  for (const auto& [connection, member] : members_.all()) {
    if (!member.gone) Emit(SendMessage{connection, pulse});
  }
  for (const Connection connection : spares_.All()) Emit(SendMessage{connection, pulse});
}

}  // namespace arcshard::coordinator
