#include "coordinator/members/quorum.h"

#include <algorithm>
#include <set>

namespace arcshard::coordinator {
namespace {

std::vector<Connection> ReadyWorkers(const Membership& members, MonotonicTime now) {
  std::vector<Connection> all, unbarred;
  uint64_t newest_of_all = 0, newest_of_unbarred = 0;  // the last step of the states that they hold
  for (const auto& [connection, member] : members.all()) {
    if (member.registration.role != Role::kWorker || !member.data.has_value()) continue;
    const uint64_t step = member.held.has_value() && member.held->whole ? member.held->state.step : 0;
    all.push_back(connection);
    newest_of_all = std::max(newest_of_all, step);
    if (members.IsBarred(member, now)) continue;
    unbarred.push_back(connection);
    newest_of_unbarred = std::max(newest_of_unbarred, step);
  }
  return unbarred.empty() || newest_of_unbarred < newest_of_all ? all : unbarred;
}

}  // namespace

std::vector<Connection> Participants(const Membership& members, MonotonicTime now) {
  std::vector<Connection> participants = ReadyWorkers(members, now);
  for (const auto& [connection, member] : members.all()) {
    if (member.registration.role == Role::kShard) participants.push_back(connection);
  }
  return participants;
}

std::optional<std::vector<uint32_t>> WorkersOfNewestView(const Membership& members) {
  const HeldState* newest = nullptr;
  for (const auto& [connection, member] : members.all()) {
    if (!member.held.has_value()) continue;
    if (newest == nullptr || newest->view < member.held->view) newest = &*member.held;
  }
  return newest == nullptr ? std::nullopt : std::optional(newest->workers);
}

bool HasEnough(const Membership& members, const std::optional<std::vector<uint32_t>>& awaited, MonotonicTime grace_ends,
               MonotonicTime now) {
  const MemberCounts counts = members.Counts();
  if (counts.shards_here < counts.shards_wanted) return false;
  std::set<uint32_t> here;
  for (const Connection connection : ReadyWorkers(members, now)) here.insert(members.all().at(connection).id);
  if (here.empty()) return false;
  if (now >= grace_ends) return true;
  if (!awaited.has_value()) return here.size() == counts.workers_wanted;
  for (const uint32_t id : *awaited) {
    if (id < counts.workers_wanted && !here.contains(id)) return false;
  }
  return true;
}

bool AnyShardCanBeRebuilt(const Membership& members, const View& view) {
  int with_log = 0;
  for (const auto& [connection, member] : members.all()) {
    if (member.view != view || !member.held.has_value()) continue;
    if (member.held->whole && member.held->log_base.has_value() && ++with_log == 2) return true;
  }
  return false;
}

std::optional<Seat> LastHolder(const Membership& members, const StatePoint& state) {
  std::optional<Seat> holder;
  for (const auto& [connection, member] : members.all()) {
    const bool holds = member.held.has_value() && member.held->whole && member.held->state == state;
    if (member.registration.role != Role::kWorker || !holds) continue;
    if (holder.has_value()) return std::nullopt;
    holder = member.seat();
  }
  return holder;
}

}  // namespace arcshard::coordinator
