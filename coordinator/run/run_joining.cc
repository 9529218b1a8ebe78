#include <algorithm>
#include <cassert>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "coordinator/members/holdings.h"
#include "coordinator/members/quorum.h"
#include "coordinator/run/run.h"

// From enough members to a view's first step: the state that they go on from, and their way to it.
namespace arcshard::coordinator {
namespace {

// What was counted up to `last`, and by verifications since then, as far as the members know.
RunCounters CountersAfter(const Decision& last, const Membership& members) {
  RunCounters counters = last.counters;
  for (const auto& [connection, member] : members.all()) {
    if (!member.held.has_value() || !member.held->last.has_value()) continue;
    const RunCounters& known = member.held->counters;
    if (member.held->last->after() != last.after() || known.verified_step <= counters.verified_step) continue;
    counters.verified_step = known.verified_step;
    counters.best = known.best;
  }
  return counters;
}

// Whether the member held the view's state when the view was announced.
bool HeldItsState(const ViewAnnouncement& view, const Seat& seat) {
  const auto held = [&seat](const auto& member) { return member.id == seat.id && member.holds; };
  return seat.role == Role::kShard ? std::any_of(view.shards.begin(), view.shards.end(), held)
                                   : std::any_of(view.workers.begin(), view.workers.end(), held);
}

absl::Status CheckState(const JoinedReport& report, const ViewAnnouncement& view) {
  if (report.state == view.state) return absl::OkStatus();
  const auto describe = [](const StatePoint& point) {
    return absl::StrFormat("that after step %d with the lineage %016x", point.step, point.lineage);
  };
  return absl::FailedPreconditionError(absl::StrCat("has joined ", ToString(report.view), ", whose state is ",
                                                    describe(view.state), ", with ", describe(report.state)));
}

}  // namespace

// Requires: there are enough members.
void Run::BeginJoining() {
  std::vector<const Member*> participants;
  for (const Connection connection : Participants(members_, clock_->Now())) {
    participants.push_back(&members_.At(connection));
  }
  absl::StatusOr<Views::NextView> next = views_.Form(participants, at_, checkpoints_.base());
  if (next.ok() && next->chosen.given_up > 0 && !kept_.empty()) {  // the run goes back no further than it must
    SettleCheckpoints();
    next = views_.Form(participants, at_, checkpoints_.base());
  }
  if (!next.ok()) {  // no single member is at fault: all of them get the code as it is
    End(next.status(), next.status());
    return;
  }
  // Before the run goes back to its base, it waits for one that may be newer.
  if (next->chosen.given_up > 0 && checkpoints_.MayComplete()) return;
  Adopt(*next);
  const bool recovers = std::get<Gathering>(state_).recovers;
  views_.Take(*next);
  state_ = Joining{next->view, recovers};
  verification_images_ = 0;
  suspicions_.Explain();
  const FormedView& view = *next->view;
  const ViewAnnouncement& announcement = view.announcement;
  const uint64_t steps = view.plan.total_steps();
  if (options_.resume.has_value() && at_.step() == steps) {
    Emit(Note{absl::StrCat("all ", steps, " steps are done: nothing is left to train (a larger schedule.epochs makes ",
                           "the run longer)")});
  }
  Emit(ViewFormed{announcement});
  Emit(Note{absl::StrCat(ToString(announcement.view), ": ", announcement.num_classes, " classes over ",
                         announcement.shards.size(), " shards, ", view.data.samples, " samples over ",
                         announcement.workers.size(), " workers, ", steps, " steps",
                         at_.step() > 0 ? absl::StrCat(", from the state after step ", at_.step()) : "")});
  Announce(announcement);
  ReportProgress();
}

// The run is where the view begins: at its last decision, where members of an earlier coordinator's views are, or back
// at its base.
void Run::Adopt(const Views::NextView& next) {
  const ChosenState& chosen = next.chosen;
  const bool finds_members = !views_.any() && std::get<Gathering>(state_).recovers;
  if (finds_members) recovery_.LoseCoordinator(options_.incarnation, started_);
  const CheckpointBase& base = checkpoints_.base();
  if (chosen.given_up > 0) {
    const uint64_t to = chosen.state.step;
    Emit(Note{absl::StrCat("warning: ", recovery_.RollBack(chosen.given_up, to, base.folder, chosen.reason))});
    progress_.lost_steps += chosen.given_up - to;
    checkpoints_.RollBack();
    at_ = {base.point, chosen.last, base.counters};
    progress_.epoch = base.epoch;
  } else if (!views_.any()) {
    at_.point = chosen.state;
    at_.last = chosen.last;
    progress_.resumed_step = at_.step();
    if (chosen.last.has_value()) at_.counters = CountersAfter(*chosen.last, members_);
    progress_.epoch = next.view->plan.EpochsAfter(at_.step());
    if (finds_members) {
      Emit(Note{
          absl::StrCat("goes on after step ", at_.step(), ", whose state ", chosen.holders.size(), " members hold")});
    }
  }
  assert(at_.point == chosen.state);
}

// Only shards learn tokens.
void Run::Announce(const ViewAnnouncement& announcement) {
  const auto connection_of = [this](Role role, uint32_t id) { return *members_.At(Seat{role, id}); };
  ViewAnnouncement with_tokens = announcement;
  for (ShardMember& shard : with_tokens.shards) shard.token = members_.At(connection_of(Role::kShard, shard.id)).token;
  for (WorkerMember& worker : with_tokens.workers) {
    worker.token = members_.At(connection_of(Role::kWorker, worker.id)).token;
  }
  const auto for_shards = std::make_shared<const CoordinatorMessage>(std::move(with_tokens));
  const auto for_workers = std::make_shared<const CoordinatorMessage>(announcement);
  const auto tell = [&](Role role, uint32_t id) {
    const Connection connection = connection_of(role, id);
    NoteAnnounced(announcement, &members_.At(connection));
    Emit(SendMessage{connection, role == Role::kShard ? for_shards : for_workers});
  };
  for (const ShardMember& shard : announcement.shards) tell(Role::kShard, shard.id);
  for (const WorkerMember& worker : announcement.workers) tell(Role::kWorker, worker.id);
}

absl::Status Run::Handle(Connection from, const JoinedReport& report) {
  Member& member = members_.At(from);
  const auto* const gathering = std::get_if<Gathering>(&state_);
  if (gathering != nullptr && TakesPart(member) && report.view == member.view) {
    // The view has lost others meanwhile, but this one has come to its state.
    if (member.held->whole) return absl::OkStatus();  // a repeat
    RETURN_IF_ERROR(CheckState(report, gathering->before->announcement));
    NoteJoined(gathering->before->announcement, KeepsLogs(options_.config), &member);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const bool current, IsCurrent(from, report.view, "Joined"));
  auto* const joining = std::get_if<Joining>(&state_);
  if (!current || joining == nullptr) return absl::OkStatus();  // of an older view, or a repeat
  const SharedView view = joining->view;
  RETURN_IF_ERROR(CheckState(report, view->announcement));
  if (joining->joined.insert(from).second) {
    NoteJoined(view->announcement, KeepsLogs(options_.config), &member);
    if (!HeldItsState(view->announcement, member.seat())) recovery_.Joined(member.Name(), report);
    if (member.registration.role == Role::kWorker) verification_images_ += report.verification_images;
  }
  if (joining->joined.size() == members_.Of(report.view).size()) {
    InstallView(view);
  } else {
    ReportProgress();
  }
  return absl::OkStatus();
}

// All members have joined: the run goes on.
void Run::InstallView(const SharedView& view) {
  began_ = true;
  checkpoints_.Start(clock_->Now());
  if (recovery_.active()) {
    last_recovery_ = recovery_.End(at_.step(), clock_->Now());
    ++progress_.recoveries;
    progress_.last_recovery = last_recovery_->sentence;
    Emit(Note{last_recovery_->sentence});
    Emit(*last_recovery_);
  }
  SettleCheckpoints();
  const Next next = NextAfter(*view, /*wants_checkpoint=*/false);
  Broadcast(Install{view->announcement.view, next, at_.counters});
  Apply(view, next);
  DeleteSupersededCheckpoints();
}

// A worker that came while the run trained with fewer takes part from now on: nothing of the next step is computed yet.
void Run::LetIn() {
  if (!std::holds_alternative<Training>(state_)) return;
  const auto takes_part = [this](const auto& entry) { return TakesPart(entry.second); };
  if (std::all_of(members_.all().begin(), members_.all().end(), takes_part)) return;
  const std::vector<Connection> participants = Participants(members_, clock_->Now());
  const bool all_take_part = std::all_of(participants.begin(), participants.end(),
                                         [this](Connection one) { return TakesPart(members_.At(one)); });
  if (all_take_part) return;  // the others must not
  Regather();
  GoOn();
}

}  // namespace arcshard::coordinator
