#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "absl/time/time.h"
#include "common/base/clock.h"

namespace arcshard::simulation {

// A clock that stands still while something happens and jumps to the next event. Not thread-safe.
class VirtualTime final : public Clock {
 public:
  MonotonicTime Now() const override { return MonotonicTime() + now_; }
  absl::Time WallTime() const override { return absl::UnixEpoch() + now_; }

  // Plans an event. Of those at the same time the one that was planned first happens first.
  void After(absl::Duration delay, std::function<void()> what) {
    events_.emplace(std::make_pair(now_ + delay, ++planned_), std::move(what));
  }

  // Lets the next event happen; false: there is none.
  bool RunNext() {
    if (events_.empty()) return false;
    const auto next = events_.begin();
    now_ = next->first.first;
    const std::function<void()> what = std::move(next->second);
    events_.erase(next);
    what();
    return true;
  }

 private:
  absl::Duration now_ = absl::Seconds(1);
  uint64_t planned_ = 0;
  std::map<std::pair<absl::Duration, uint64_t>, std::function<void()>> events_;
};

}  // namespace arcshard::simulation
