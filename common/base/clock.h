#pragma once

#include <chrono>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/base/mutex.h"

namespace arcshard {

// Tells the time. Whatever decides by the time takes a Clock, so that a test can set the time. scripts/lint-structure
// sees to it that no other code reads a clock of the system.
class Clock {
 public:
  virtual ~Clock() = default;
  // For durations, deadlines and "how long ago". Thread-safe.
  virtual MonotonicTime Now() const = 0;
  // The date, for people and files: an operator or NTP may set it, so it may jump by any amount in either direction.
  // Thread-safe.
  virtual absl::Time WallTime() const = 0;

  // Waits until `condition` is notified, or until `deadline` may have come. Callers loop: they look at what they wait
  // for, and at Now(), again.
  virtual void WaitUntil(MonotonicTime deadline, Mutex* mutex, CondVar* condition) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    condition->WaitFor(mutex, deadline - Now());
  }
};

class SystemClock final : public Clock {
 public:
  MonotonicTime Now() const override {
    return MonotonicTime() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }
  absl::Time WallTime() const override { return absl::Now(); }
};

}  // namespace arcshard
