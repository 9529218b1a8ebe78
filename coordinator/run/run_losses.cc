#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/members/quorum.h"
#include "coordinator/members/stalls.h"
#include "coordinator/run/run.h"

// Who goes: deaths, silence, links that carry nothing. What follows is a view without them, or with somebody in their
// place.
namespace arcshard::coordinator {

// --- Members

void Run::Disconnected(Connection from, absl::string_view reason) {
  closed_.erase(from);
  if (spares_.Contains(from)) {
    spares_.Remove(from);
    return;
  }
  Member* const member = members_.Find(from);
  if (member == nullptr) return;
  if (const auto* const stopping = std::get_if<Stopping>(&state_);
      stopping != nullptr && stopping->finished.contains(from)) {
    members_.ReleaseDevice(from);
    member->gone = true;
    return;
  }
  const bool is_shard = member->registration.role == Role::kShard;
  if (AtStart() || !TakesPart(*member)) {
    Leave(from, reason);
  } else {
    Lose(from, reason);
    if (is_shard) std::get<Gathering>(state_).seats_kept_until = clock_->Now() + options_.seat_grace;
  }
  GoOn();
}

// Closes the stream of a member that is out from now on. The caller goes on.
void Run::Out(Connection who, absl::string_view why, const absl::Status& closing) {
  Close(who, closing);
  AtStart() || !TakesPart(members_.At(who)) ? Leave(who, why) : Lose(who, why);
}

// A member of the view is gone.
void Run::Lose(Connection who, absl::string_view why) {
  const Member member = members_.At(who);
  const MonotonicTime now = clock_->Now();
  const std::string when = DescribeWhen(state_, at_.step());
  const std::string reason =
      member.leaving.empty() ? std::string(why) : absl::StrCat(why, ", after ", member.leaving, " had told it to end");
  const std::string lost = absl::StrCat(member.Name(), " was lost ", when, ": ", reason);
  members_.Remove(who);
  checkpoints_.Lose(member.seat(), member.Name(), now);
  Gathering& gathering = Regather();
  if (AtStart()) {  // the first view was still joining
    gathering.last_leave = lost;
    Emit(CameOrWent{absl::StrCat(lost, "; its place is free again")});
    return;
  }
  recovery_.LoseMember(member, when, reason, now);
  Emit(Note{lost});
  const RunConfig::Cluster& cluster = options_.config.cluster;
  gathering.give_up_at = std::max(gathering.give_up_at, now + cluster.rejoin_timeout);
  if (member.registration.role == Role::kWorker) {
    gathering.grace_ends = std::max(gathering.grace_ends, member.last_heard + cluster.rejoin_grace);
  }
}

// A member goes that takes no part yet.
void Run::Leave(Connection who, absl::string_view why) {
  const std::string left =
      absl::StrCat(members_.At(who).Name(), " left before ", AtStart() ? "the run began" : "it took part", ": ", why);
  if (auto* const gathering = std::get_if<Gathering>(&state_); gathering != nullptr) {
    gathering->last_leave = left;
    // Whoever comes in its place has as much time as the first one had.
    const RunConfig::Cluster& cluster = options_.config.cluster;
    const absl::Duration time = gathering->recovers ? cluster.rejoin_timeout : cluster.connect_timeout;
    gathering->give_up_at = std::max(gathering->give_up_at, clock_->Now() + time);
  }
  members_.Remove(who);
  Emit(CameOrWent{absl::StrCat(left, "; its place is free again")});
}

// The view in force ends: the run gathers the members of the next one. Those that it has go on taking part.
Gathering& Run::Regather() {
  if (auto* const gathering = std::get_if<Gathering>(&state_); gathering != nullptr) return *gathering;
  const MonotonicTime now = clock_->Now();
  const auto* const joining = std::get_if<Joining>(&state_);
  const bool recovers = joining == nullptr || joining->recovers;
  const RunConfig::Cluster& cluster = options_.config.cluster;
  Gathering gathering{.give_up_at = now + (recovers ? cluster.rejoin_timeout : cluster.connect_timeout),
                      .before = ViewOf(state_),
                      .recovers = recovers,
                      .grace_ends = recovers ? now : MonotonicTime::InfiniteFuture()};
  state_ = std::move(gathering);
  suspicions_.Explain();
  for (const auto& [connection, member] : members_.Of(views_.newest())) {
    if (member->gone) members_.Remove(connection);
  }
  if (!BaseIsInUse()) SettleCheckpoints();
  return std::get<Gathering>(state_);
}

// --- Signs of life

void Run::CheckSilence(MonotonicTime now) {
  const absl::Duration limit = options_.config.cluster.heartbeat_timeout;
  bool some = false;
  for (const Connection connection : members_.SilentFor(limit, now)) {
    const Member* const member = members_.Find(connection);
    const auto* const stopping = std::get_if<Stopping>(&state_);
    if (member == nullptr || (stopping != nullptr && stopping->finished.contains(connection))) continue;
    const std::string reason = absl::StrCat(
        "no sign of life for ", absl::FormatDuration(absl::Trunc(now - member->last_heard, absl::Milliseconds(100))));
    Out(connection, reason, absl::UnavailableError(reason));
    some = true;
  }
  for (const Connection connection : spares_.SilentFor(limit, now)) {
    spares_.Remove(connection);
    Close(connection, absl::UnavailableError("no sign of life"));
  }
  if (some) GoOn();
}

// --- Links

absl::Status Run::Handle(Connection from, const LostPeersReport& report) {
  ASSIGN_OR_RETURN(const bool current, IsCurrent(from, report.view, "LostPeers"));
  const auto* const stopping = std::get_if<Stopping>(&state_);
  if (!current || (stopping != nullptr && stopping->finished.contains(from))) return absl::OkStatus();
  const Member& member = members_.At(from);
  Emit(Note{absl::StrCat(member.Name(), ": ", report.sentence)});
  suspicions_.Report(member.seat(), report, clock_->Now());
  return absl::OkStatus();
}

// All members are there, but cannot reach each other.
void Run::ConnectAnew(absl::string_view why) {
  Emit(Note{absl::StrCat("all members connect anew: ", why)});
  Regather();
  if (!AtStart()) recovery_.LoseConnections(why, clock_->Now());
}

void Run::CheckSuspicions(MonotonicTime now) {
  const SharedView view = ViewOf(state_);
  if (view == nullptr || std::holds_alternative<Gathering>(state_) || std::holds_alternative<Ended>(state_)) return;
  const auto* const joining = std::get_if<Joining>(&state_);
  const bool at_start = joining != nullptr && !joining->recovers;
  const RunConfig::Cluster& cluster = options_.config.cluster;
  const absl::Duration limit = at_start ? cluster.connect_timeout : cluster.heartbeat_timeout;
  for (const auto& [seat, report] : Stalls(view->announcement, members_, limit)) {
    suspicions_.ReportWaiting(seat, report, now);
  }
  const std::optional<Suspicions::Verdict> verdict =
      suspicions_.Judge(view->announcement, LastHolder(members_, at_.point), now);
  if (!verdict.has_value()) return;
  if (verdict->out.has_value() && at_start && now - started_ >= cluster.connect_timeout) {
    Fail(absl::UnavailableError(verdict->sentence));  // it has never worked: most likely an address or a port is wrong
    return;
  }
  if (!verdict->log_problem.empty()) views_.DistrustLogs(verdict->log_problem);
  verdict->out.has_value() && !at_start ? Evict(*verdict->out, verdict->sentence) : ConnectAnew(verdict->sentence);
  GoOn();
}

// A worker that others cannot reach is not waited for and not let in again for a while, if there are others.
void Run::Evict(const Seat& seat, absl::string_view why) {
  const std::optional<Connection> connection = members_.At(seat);
  if (!connection.has_value()) return;
  const MonotonicTime now = clock_->Now();
  const bool bars = seat.role == Role::kWorker && ViewOf(state_)->announcement.workers.size() > 1;
  if (bars) members_.Bar(members_.At(*connection).token, now + Suspicions::kMemory);
  const std::string reason = absl::StrCat("others cannot reach it, or it cannot reach them: ", why);
  Out(*connection, reason, absl::UnavailableError(reason));
  if (bars) Regather().grace_ends = now;
}

}  // namespace arcshard::coordinator
