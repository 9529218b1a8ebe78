#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace arcshard {

// Where the time comes from. Everything that decides by time takes one, so that a test turns it by hand.
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
