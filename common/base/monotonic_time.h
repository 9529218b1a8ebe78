#pragma once

#include "absl/time/time.h"

namespace arcshard {

// A moment on the clock that only goes forward, at one second a second, whatever is done to the machine's date
// (CLOCK_MONOTONIC). Durations, deadlines and "how long ago" are computed with it. It means nothing to people and to
// other processes. What people read is an absl::Time, and the two do not convert into each other.
class MonotonicTime {
 public:
  // The origin of the clock: a moment before the process began.
  constexpr MonotonicTime() = default;
  static constexpr MonotonicTime InfinitePast() { return MonotonicTime(-absl::InfiniteDuration()); }
  static constexpr MonotonicTime InfiniteFuture() { return MonotonicTime(absl::InfiniteDuration()); }

  // Infinite durations lead to the infinite past or future.
  MonotonicTime& operator+=(absl::Duration by) {
    since_origin_ += by;
    return *this;
  }
  friend MonotonicTime operator+(MonotonicTime time, absl::Duration by) { return time += by; }
  friend MonotonicTime operator-(MonotonicTime time, absl::Duration by) { return time += -by; }
  friend absl::Duration operator-(MonotonicTime a, MonotonicTime b) { return a.since_origin_ - b.since_origin_; }

  friend bool operator==(MonotonicTime a, MonotonicTime b) { return a.since_origin_ == b.since_origin_; }
  friend bool operator!=(MonotonicTime a, MonotonicTime b) { return a.since_origin_ != b.since_origin_; }
  friend bool operator<(MonotonicTime a, MonotonicTime b) { return a.since_origin_ < b.since_origin_; }
  friend bool operator<=(MonotonicTime a, MonotonicTime b) { return a.since_origin_ <= b.since_origin_; }
  friend bool operator>(MonotonicTime a, MonotonicTime b) { return a.since_origin_ > b.since_origin_; }
  friend bool operator>=(MonotonicTime a, MonotonicTime b) { return a.since_origin_ >= b.since_origin_; }

 private:
  explicit constexpr MonotonicTime(absl::Duration since_origin) : since_origin_(since_origin) {}

  absl::Duration since_origin_;
};

}  // namespace arcshard
