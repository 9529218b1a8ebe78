#include <algorithm>
#include <utility>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/head_memory.h"
#include "coordinator/members/quorum.h"
#include "coordinator/policy/decisions.h"
#include "coordinator/run/run.h"

// Who comes to a run, at its start, after a loss, or while it trains with fewer workers.
namespace arcshard::coordinator {
namespace {

// OK if the member has the memory for its classes.
absl::Status CheckFits(const Member& member, const RunConfig& config, const std::vector<ClassRange>& ranges) {
  if (member.registration.role != Role::kShard || ranges.empty()) return absl::OkStatus();
  const ClassRange& range = ranges.at(member.id);
  const HeadRangeBytes needed = HeadBytesOfRange(config, range.size());
  const absl::uint128 sum = absl::uint128(static_cast<uint64_t>(needed.rows)) + static_cast<uint64_t>(needed.kept);
  if (sum <= member.registration.capacity_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(member.Name(), " would hold classes [", range.begin, ", ", range.end, "), which take ", needed.rows,
                   " bytes and ", needed.kept, " of kept exponentials; but its capacity is ",
                   member.registration.capacity_bytes, " bytes, less than that of the shard that it replaces"));
}

// The workers that are waited for; none: all that the run wants.
std::optional<std::vector<uint32_t>> AwaitedWorkers(const Gathering& gathering, const Membership& members) {
  if (!gathering.recovers) return std::nullopt;
  if (gathering.before == nullptr) return WorkersOfNewestView(members);
  std::vector<uint32_t> awaited;
  for (const WorkerMember& worker : gathering.before->announcement.workers) awaited.push_back(worker.id);
  return awaited;
}

// Whether it waits among the spares for a seat.
bool MustWait(const Registration& registration, const Membership& members, bool seats_are_kept) {
  if (registration.role != Role::kShard || members.OwnSeatIsFree(registration)) return false;
  return registration.spare || (seats_are_kept && members.SeatFor(registration).has_value());
}

}  // namespace

// --- Registrations

absl::Status Run::Handle(Connection from, const Registration& given) {
  if (members_.Find(from) != nullptr) {
    return absl::FailedPreconditionError("has registered already on this stream");
  }
  ASSIGN_OR_RETURN(const Registration registration, OfThisRun(given));
  MakeRoomFor(registration);
  absl::Status status;
  const auto* const gathering = std::get_if<Gathering>(&state_);
  const bool seats_are_kept = gathering != nullptr && clock_->Now() < gathering->seats_kept_until;
  if (MustWait(registration, members_, seats_are_kept)) {
    status = spares_.Add(from, registration, clock_->Now());
    if (status.ok()) Emit(CameOrWent{absl::StrCat(NameOf(registration), " waits as a spare")});
  } else {
    status = Admit(from, registration);
  }
  GoOn();
  return status;
}

// The registration, without a state that it holds of another run in the same folder.
absl::StatusOr<Registration> Run::OfThisRun(Registration registration) const {
  if (!registration.held.has_value()) return registration;
  const View& view = registration.held->view;
  if (view.incarnation > options_.incarnation) {  // it will find that one, or be refused there
    return absl::UnavailableError(absl::StrCat(NameOf(registration), " has followed a later start of the coordinator, ",
                                               ToString(view), "; this one is incarnation ", options_.incarnation));
  }
  if (view.incarnation < options_.first_incarnation || view > views_.newest()) registration.held.reset();
  return registration;
}

// Its former stream may still seem to live, or its seat may have been given to somebody who cannot do as much with it.
void Run::MakeRoomFor(const Registration& registration) {
  if (const std::optional<Connection> old = members_.SameProcess(registration); old.has_value()) {
    constexpr absl::string_view kWhy = "it has registered again on another stream";
    Out(*old, kWhy, absl::UnavailableError(kWhy));
  }
  if (!std::holds_alternative<Gathering>(state_)) return;
  if (const std::optional<Connection> other = members_.Outranked(registration); other.has_value()) {
    const std::string why = absl::StrCat("its place belongs to ", NameOf(registration), ", which holds the state");
    Out(*other, why, absl::UnavailableError(why));
  }
}

absl::Status Run::Admit(Connection from, const Registration& registration) {
  const LeaseHistory leased_before = members_.lease_history();
  const MonotonicTime now = clock_->Now();
  ASSIGN_OR_RETURN(const Member* const member, members_.Admit(from, registration, now));
  if (const absl::Status fits = CheckFits(*member, options_.config, views_.ranges()); !fits.ok()) {
    members_.Remove(from);
    return fits;
  }
  if (members_.lease_history() != leased_before) Emit(KeepLeaseHistory{members_.lease_history()});
  Emit(CameOrWent{absl::StrCat(member->Name(), " has registered, at ", registration.address,
                               member->device.empty() ? "" : absl::StrCat(", and computes on ", member->device))});
  Emit(MessageTo(from, Welcome{.id = member->id,
                               .config_yaml = options_.config_yaml,
                               .incarnation = options_.incarnation,
                               .heartbeat_interval = options_.config.cluster.heartbeat_interval,
                               .device = member->device,
                               .token = member->token}));
  auto* const gathering = std::get_if<Gathering>(&state_);
  const bool held_before = member->held.has_value() && member->held->view.incarnation < options_.incarnation;
  if (gathering == nullptr || gathering->recovers || !held_before) return absl::OkStatus();
  // It is the first that comes back of the members of the run's earlier coordinator.
  gathering->recovers = true;
  gathering->grace_ends = now + options_.config.cluster.rejoin_grace;
  gathering->give_up_at = std::max(gathering->give_up_at, now + options_.config.cluster.rejoin_timeout);
  return absl::OkStatus();
}

// A spare gets a seat that was left as soon as it is not kept any more for whoever had it. At a start it gets one that
// nobody else has taken for a while: shards that are not spares may be about to come.
void Run::SeatSpares() {
  const MonotonicTime now = clock_->Now();
  const auto& gathering = std::get<Gathering>(state_);
  if (now < gathering.seats_kept_until) return;
  const bool was_lost = gathering.before != nullptr || !gathering.last_leave.empty();
  const MonotonicTime since = was_lost ? now : now - options_.config.cluster.rejoin_grace;
  while (const auto spare = spares_.First(since)) {
    const auto& [connection, registration] = *spare;
    if (!members_.SeatFor(registration).has_value()) return;
    spares_.Remove(connection);
    if (const absl::Status status = Admit(connection, registration); !status.ok()) Close(connection, status);
  }
}

absl::Status Run::Handle(Connection from, const DatasetReport& report) {
  Member& member = members_.At(from);
  if (member.registration.role != Role::kWorker) return absl::InvalidArgumentError("only workers have a data set");
  if (member.data == report) return absl::OkStatus();
  RETURN_IF_ERROR(CheckData(report));
  if (member.data.has_value()) return absl::FailedPreconditionError("has reported another data set before");
  if (const SharedView view = ViewOf(state_); view != nullptr) {
    RETURN_IF_ERROR(CheckSameData({"the run", view->data}, {member.Name(), report}));
  }
  for (const auto& [connection, other] : members_.all()) {
    if (other.data.has_value() && *other.data != report) {
      RETURN_IF_ERROR(CheckSameData({other.Name(), *other.data}, {member.Name(), report}));
    }
  }
  member.data = report;
  GoOn();
  return absl::OkStatus();
}

// --- Enough members

// The members have changed: a view begins if there are enough now.
void Run::GoOn() {
  if (std::holds_alternative<Gathering>(state_)) {
    SeatSpares();
    const auto& gathering = std::get<Gathering>(state_);
    if (HasEnough(members_, AwaitedWorkers(gathering, members_), gathering.grace_ends, clock_->Now())) BeginJoining();
  }
  if (!std::holds_alternative<Ended>(state_)) ReportProgress();
}

void Run::CheckGathering(MonotonicTime now) {
  if (!std::holds_alternative<Gathering>(state_)) return;
  if (!BaseIsInUse()) SettleCheckpoints();  // whoever was using it may be gone
  SeatSpares();
  const auto& gathering = std::get<Gathering>(state_);
  if (HasEnough(members_, AwaitedWorkers(gathering, members_), gathering.grace_ends, now)) {
    BeginJoining();
    return;
  }
  const MemberCounts counts = members_.Counts();
  const bool some_workers = gathering.recovers ? counts.workers_here > 0 : counts.workers_here == counts.workers_wanted;
  const bool reads_data = counts.shards_here == counts.shards_wanted && some_workers;
  if (now < gathering.give_up_at || reads_data) return;
  const RunConfig::Cluster& cluster = options_.config.cluster;
  std::string sentence = absl::StrCat(
      "gave up after ",
      gathering.recovers ? absl::StrCat(absl::FormatDuration(cluster.rejoin_timeout), " (cluster.rejoin_timeout)")
                         : absl::StrCat(absl::FormatDuration(cluster.connect_timeout), " (cluster.connect_timeout)"),
      ", still ", DescribeWaiting(counts), gathering.last_leave.empty() ? "" : "; ", gathering.last_leave);
  if (recovery_.active()) absl::StrAppend(&sentence, "; ", recovery_.Losses());
  if (gathering.recovers) {
    const CheckpointBase& base = checkpoints_.base();
    absl::StrAppend(&sentence, "; ",
                    base.folder.empty() ? "there is no checkpoint to resume from"
                                        : absl::StrCat("the run can be resumed from ", base.folder));
  }
  Fail(absl::DeadlineExceededError(sentence));
}

}  // namespace arcshard::coordinator
