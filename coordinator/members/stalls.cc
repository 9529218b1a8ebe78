#include "coordinator/members/stalls.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"

namespace arcshard::coordinator {
namespace {

using Waits = std::map<Seat, const Waiting*>;  // of the members that have waited for long

std::vector<Seat> SeatsOf(const ViewAnnouncement& view) {
  std::vector<Seat> seats;
  for (const ShardMember& shard : view.shards) seats.push_back({Role::kShard, shard.id});
  for (const WorkerMember& worker : view.workers) seats.push_back({Role::kWorker, worker.id});
  return seats;
}

Waits LongWaits(const ViewAnnouncement& view, const Membership& members, absl::Duration limit) {
  Waits waits;
  for (const Seat& seat : SeatsOf(view)) {
    const std::optional<Connection> connection = members.At(seat);
    if (!connection.has_value()) continue;
    const Waiting& waiting = members.all().at(*connection).stats.waiting;
    const bool is_long = waiting.waits() && waiting.view == view.view && absl::Seconds(waiting.seconds) > limit;
    if (is_long) waits[seat] = &waiting;
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
    std::erase_if(*waits, [&](const auto& entry) {
      const std::vector<Seat> awaited = AwaitedBy(entry.first, *entry.second, view);
      return absl::c_any_of(awaited, [waits](const Seat& other) { return !waits->contains(other); });
    });
  } while (waits->size() < before);
}

bool IsInVain(const Seat& seat, const Seat& other, const Waits& waits) {
  const Waiting& others = *waits.at(other);
  if (seat.role == Role::kShard && other.role == Role::kShard) return true;
  if (seat.role == Role::kShard) return others.shards.empty() || absl::c_linear_search(others.shards, seat.id);
  if (other.role == Role::kShard) return others.workers.empty() || absl::c_linear_search(others.workers, seat.id);
  return absl::c_all_of(
      waits, [](const auto& entry) { return entry.first.role == Role::kShard || entry.second->shards.empty(); });
}

}  // namespace

std::vector<std::pair<Seat, LostPeersReport>> Stalls(const ViewAnnouncement& view, const Membership& members,
                                                     absl::Duration limit) {
  Waits waits = LongWaits(view, members, limit);
  DropExplained(view, &waits);
  std::vector<std::pair<Seat, LostPeersReport>> stalls;
  for (const auto& [seat, waiting] : waits) {
    LostPeersReport report{.view = view.view, .sentence = {}};
    for (const Seat& other : AwaitedBy(seat, *waiting, view)) {
      if (!IsInVain(seat, other, waits)) continue;
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
