#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace arcshard {

// Tells the time. Whatever decides by the time takes a Clock, so that a test can set the time.
class Clock {
 public:
  virtual ~Clock() = default;
  // Thread-safe.
  virtual absl::Time Now() const = 0;

  // Waits until `condition` is notified, or until `deadline` may have come. Callers loop: they look at what they wait
  // for, and at Now(), again.
  virtual void WaitUntil(absl::Time deadline, Mutex* mutex, CondVar* condition) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    condition->WaitFor(mutex, deadline - Now());
  }
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

}  // namespace arcshard
