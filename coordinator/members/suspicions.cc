#include "coordinator/members/suspicions.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_cat.h"
#include "coordinator/members/member.h"

namespace arcshard::coordinator {
namespace {

bool AreBothOf(const std::pair<Seat, Seat>& pair, Role role) {
  return pair.first.role == role && pair.second.role == role;
}

}  // namespace

// Seats of shards are less than those of workers.
Suspicions::Pair Suspicions::PairOf(const Seat& one, const Seat& other) {
  if (one.role != other.role) return one.role == Role::kWorker ? Pair(one, other) : Pair(other, one);
  return std::minmax(one, other);
}

std::set<Suspicions::Pair> Suspicions::PairsOf(const Pending& pending, const ViewAnnouncement& view) {
  std::set<Pair> pairs;
  const auto add = [&](const Seat& suspect) {
    if (suspect != pending.reporter && IsIn(view, suspect)) pairs.insert(PairOf(pending.reporter, suspect));
  };
  for (const uint32_t id : pending.report.shards) add({Role::kShard, id});
  for (const uint32_t id : pending.report.workers) add({Role::kWorker, id});
  return pairs;
}

// Moves what is pending into the history, and returns the pairs that were reported now.
std::set<Suspicions::Pair> Suspicions::Remember(const ViewAnnouncement& view, MonotonicTime now) {
  std::set<Pair> reported;
  bool is_explained = false;  // that workers waited in vain: one of them has given up because of a shard
  for (const Pending& pending : pending_) {
    reported.merge(PairsOf(pending, view));
    is_explained |= pending.reporter.role == Role::kWorker && !pending.report.shards.empty();
  }
  pending_.clear();
  if (is_explained) std::erase_if(reported, [](const Pair& pair) { return AreBothOf(pair, Role::kWorker); });
  for (auto pair = history_.begin(); pair != history_.end();) {
    std::vector<MonotonicTime>& times = pair->second;
    std::erase_if(times, [now](MonotonicTime time) { return now - time > kMemory; });
    pair = times.empty() ? history_.erase(pair) : std::next(pair);
  }
  for (const Pair& pair : reported) history_[pair].push_back(now);
  return reported;
}

size_t Suspicions::WorkersThatReported(uint32_t shard) const {
  return static_cast<size_t>(std::count_if(history_.begin(), history_.end(), [shard](const auto& entry) {
    const Pair& pair = entry.first;
    return pair.first.role == Role::kWorker && pair.second == Seat{Role::kShard, shard};
  }));
}

Seat Suspicions::OutOf(const Pair& pair, const std::set<Pair>& reported, const ViewAnnouncement& view,
                       const std::optional<Seat>& last_holder) const {
  const auto [worker, other] = pair;
  if (view.workers.size() > 1 && worker == last_holder) return other;
  if (view.workers.size() > 1 && other == last_holder) return worker;
  if (other.role == Role::kShard) {
    const size_t workers = view.workers.size();
    if (workers > 1) return 2 * WorkersThatReported(other.id) > workers ? other : worker;
    const bool reaches_another = reported.size() < view.shards.size();
    return reaches_another ? other : worker;
  }
  const auto times_named = [&reported](const Seat& seat) {
    return std::count_if(reported.begin(), reported.end(),
                         [&](const Pair& one) { return one.first == seat || one.second == seat; });
  };
  return times_named(worker) > times_named(other) ? worker : other;
}

void Suspicions::Forget(const Seat& seat) {
  std::erase_if(history_, [&seat](const auto& entry) {
    const Pair& pair = entry.first;
    return pair.first == seat || pair.second == seat;
  });
}

std::optional<Suspicions::Verdict> Suspicions::Judge(const ViewAnnouncement& view,
                                                     const std::optional<Seat>& last_holder, MonotonicTime now) {
  const auto is_due = [now](const Pending& pending) { return now >= pending.due; };
  const auto first = std::find_if(pending_.begin(), pending_.end(), is_due);
  if (first == pending_.end()) return std::nullopt;
  Verdict verdict{.sentence = absl::StrCat(NameOf(first->reporter), ": ", first->report.sentence)};
  const std::set<Pair> reported = Remember(view, now);
  const auto too_often = [this](const Pair& pair) { return history_.at(pair).size() >= kMostReports; };
  for (const Pair& pair : reported) {
    if (!too_often(pair)) continue;
    if (AreBothOf(pair, Role::kShard)) {
      verdict.log_problem = verdict.sentence;
      history_.erase(pair);
      continue;
    }
    verdict.out = OutOf(pair, reported, view, last_holder);
    Forget(*verdict.out);
    break;
  }
  return verdict;
}

}  // namespace arcshard::coordinator
