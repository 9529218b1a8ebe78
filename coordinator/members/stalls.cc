#include "coordinator/members/stalls.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"

namespace arcshard::coordinator {
namespace {

using Waits = std::map<Seat, const Waiting*>;  // of the members that have waited for long

Waits LongWaits(const ViewAnnouncement& view, const Membership& members, absl::Duration limit) {
  Waits waits;
  for (const auto& [connection, member] : members.all()) {
    const Waiting& waiting = member.stats.waiting;
    const bool is_long = waiting.waits() && waiting.view == view.view && absl::Seconds(waiting.seconds) > limit;
    if (is_long && IsIn(view, member.seat())) waits[member.seat()] = &waiting;
  }
  return waits;
}

// For whom the member waits. In an all-reduce it may be any other worker that has not done its part.
std::vector<Seat> AwaitedBy(const Seat& seat, const Waiting& waiting, const ViewAnnouncement& view) {
  std::vector<Seat> awaited;
  for (const uint32_t id : waiting.shards) awaited.push_back({Role::kShard, id});
  for (const uint32_t id : waiting.workers) awaited.push_back({Role::kWorker, id});
  if (!waiting.all_reduce) return awaited;
  for (const WorkerMember& worker : view.workers) {
    if (worker.id != seat.id) awaited.push_back({Role::kWorker, worker.id});
  }
  return awaited;
}

// Leaves those that no member explains which does not wait.
void DropExplained(const ViewAnnouncement& view, Waits* waits) {
  size_t before = 0;
  do {
    before = waits->size();
    const bool all_workers_wait = absl::c_all_of(view.workers, [waits](const WorkerMember& worker) {
      return waits->contains({Role::kWorker, worker.id});
    });
    std::erase_if(*waits, [&](const auto& entry) {
      const Waiting& waiting = *entry.second;
      if (waiting.all_reduce && !all_workers_wait) return true;
      const auto computes = [waits](Role role) {
        return [waits, role](uint32_t id) { return !waits->contains({role, id}); };
      };
      return absl::c_any_of(waiting.shards, computes(Role::kShard)) ||
             absl::c_any_of(waiting.workers, computes(Role::kWorker));
    });
  } while (waits->size() < before);
}

bool WaitsForShards(const std::pair<const Seat, const Waiting*>& entry) {
  return entry.first.role == Role::kWorker && !entry.second->shards.empty();
}

// shards_are_awaited: some worker waits for a shard.
bool IsInVain(const Seat& seat, const Seat& other, const Waits& waits, bool shards_are_awaited) {
  if (seat.role == Role::kShard && other.role == Role::kShard) return true;
  if (seat.role == Role::kWorker && other.role == Role::kWorker) return !shards_are_awaited;
  const Waiting& others = *waits.at(other);
  const std::vector<uint32_t>& awaited = seat.role == Role::kShard ? others.shards : others.workers;
  return awaited.empty() || absl::c_linear_search(awaited, seat.id);
}

}  // namespace

std::vector<std::pair<Seat, LostPeersReport>> Stalls(const ViewAnnouncement& view, const Membership& members,
                                                     absl::Duration limit) {
  Waits waits = LongWaits(view, members, limit);
  DropExplained(view, &waits);
  const bool shards_are_awaited = absl::c_any_of(waits, WaitsForShards);
  std::vector<std::pair<Seat, LostPeersReport>> stalls;
  for (const auto& [seat, waiting] : waits) {
    LostPeersReport report{.view = view.view, .sentence = {}};
    for (const Seat& other : AwaitedBy(seat, *waiting, view)) {
      if (!IsInVain(seat, other, waits, shards_are_awaited)) continue;
      (other.role == Role::kShard ? report.shards : report.workers).push_back(other.id);
    }
    if (report.shards.empty() && report.workers.empty()) continue;
    report.sentence =
        absl::StrCat("it has waited for others in vain, for ",
                     absl::FormatDuration(absl::Trunc(absl::Seconds(waiting->seconds), absl::Milliseconds(100))));
    stalls.emplace_back(seat, std::move(report));
  }
  return stalls;
}

}  // namespace arcshard::coordinator
