#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace arcshard {

// Tells the time. Whatever decides by the time takes a Clock, so that a test can set the time.
class Clock {
 public:
  virtual ~Clock() = default;
  // Thread-safe.
  virtual absl::Time Now() const = 0;
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

}  // namespace arcshard
