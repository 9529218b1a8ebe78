#pragma once

#include <atomic>
#include <cstdint>

#include "common/base/clock.h"

namespace arcshard {

// For tests: the time changes only by Advance. Thread-safe.
class FakeClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixNanos(nanos_.load()); }
  // Looks again every millisecond of real time, since Advance does not know who waits.
  void WaitUntil(absl::Time, Mutex* mutex, CondVar* condition) const override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    condition->WaitFor(mutex, absl::Milliseconds(1));
  }
  void Advance(absl::Duration by) { nanos_ += absl::ToInt64Nanoseconds(by); }

 private:
  std::atomic<int64_t> nanos_{1'700'000'000'000'000'000};
};

}  // namespace arcshard
