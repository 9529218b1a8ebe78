#include "coordinator/members/recent_phases.h"

#include <algorithm>
#include <utility>

namespace arcshard::coordinator {
namespace {

constexpr size_t kMostReports = 11;
constexpr absl::Duration kApart = absl::Seconds(1);

}  // namespace

void RecentPhases::Add(MonotonicTime now, std::vector<PhaseTime> phases) {
  if (reports_.size() > 1 && now - reports_[reports_.size() - 2].at < kApart) reports_.pop_back();
  reports_.push_back({now, std::move(phases)});
  if (reports_.size() > kMostReports) reports_.pop_front();
}

std::vector<PhaseTime> RecentPhases::Recent() const {
  std::vector<PhaseTime> recent;
  if (reports_.empty()) return recent;
  const std::vector<PhaseTime>& first = reports_.front().phases;
  for (PhaseTime phase : reports_.back().phases) {
    const auto before =
        std::find_if(first.begin(), first.end(), [&](const PhaseTime& p) { return p.name == phase.name; });
    if (reports_.size() > 1 && before != first.end()) {
      if (before->count >= phase.count) continue;
      phase.count -= before->count;
      phase.seconds = std::max(phase.seconds - before->seconds, 0.0);
    }
    if (phase.count > 0) recent.push_back(std::move(phase));
  }
  return recent;
}

}  // namespace arcshard::coordinator
