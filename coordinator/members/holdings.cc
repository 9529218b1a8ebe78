#include "coordinator/members/holdings.h"

#include <algorithm>

namespace arcshard::coordinator {
namespace {

// Who this member is in a view.
struct Part {
  ClassRange range = {};
  bool holds = false;
  bool has_log = false;
};

Part PartOf(const Member& member, const ViewAnnouncement& view) {
  Part part;
  for (const ShardMember& shard : view.shards) {
    if (member.seat() == Seat{Role::kShard, shard.id}) part = {shard.range, shard.holds, shard.has_log};
  }
  for (const WorkerMember& worker : view.workers) {
    if (member.seat() == Seat{Role::kWorker, worker.id}) part.holds = worker.holds;
  }
  return part;
}

}  // namespace

bool KeepsLogs(const RunConfig& config) { return config.cluster.shards > 1 && config.cluster.log_mb > 0; }

ClassRange RangeOfHeld(const HeldState& held, uint32_t id) {
  if (id >= held.range_ends.size()) return {};
  return {id == 0 ? 0 : held.range_ends[id - 1], held.range_ends[id]};
}

void NoteAnnounced(const ViewAnnouncement& view, Member* member) {
  const Part part = PartOf(*member, view);
  HeldState held = member->held.value_or(HeldState());
  held.view = view.view;
  held.range_ends.clear();
  for (const ShardMember& shard : view.shards) held.range_ends.push_back(shard.range.end);
  held.workers.clear();
  for (const WorkerMember& worker : view.workers) held.workers.push_back(worker.id);
  if (part.holds) held.state = view.state;
  held.whole = part.holds;
  held.voted_step = 0;
  held.last = view.last;
  if (!part.has_log) held.log_base.reset();
  member->view = view.view;
  member->held = std::move(held);
  member->range = part.range;
}

void NoteJoined(const ViewAnnouncement& view, bool keeps_log, Member* member) {
  HeldState& held = *member->held;
  // What it has just rebuilt went through its own log too, and a log that is empty at the base lacks nothing.
  const bool has_log = !held.whole || view.state == view.base;
  held.state = view.state;
  held.whole = true;
  if (keeps_log && has_log && member->registration.role == Role::kShard) held.log_base = view.base;
}

void NoteVote(const ReadyVote& vote, const StatePoint& base, bool keeps_log, Member* member) {
  HeldState& held = *member->held;
  held.voted_step = vote.step;
  if (member->registration.role != Role::kShard) return;
  if (vote.log_is_dropped || !keeps_log) {
    held.log_base.reset();
  } else if (!held.log_base.has_value()) {
    held.log_base = base;
  }
}

void NoteDecided(const Decision& decision, Member* member) {
  HeldState& held = *member->held;
  held.state = decision.after();
  held.voted_step = 0;
}

std::optional<Holding> HoldingOf(const Member& member) {
  if (!member.held.has_value()) return std::nullopt;
  return Holding{member.seat(), *member.held, member.range};
}

}  // namespace arcshard::coordinator
