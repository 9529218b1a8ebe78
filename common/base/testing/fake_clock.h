#pragma once

#include <atomic>
#include <cstdint>

#include "common/base/clock.h"

namespace arcshard {

// For tests: the time changes only by Advance. Thread-safe.
class FakeClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixNanos(nanos_.load()); }
  void Advance(absl::Duration by) { nanos_ += absl::ToInt64Nanoseconds(by); }

 private:
  std::atomic<int64_t> nanos_{1'700'000'000'000'000'000};
};

}  // namespace arcshard
