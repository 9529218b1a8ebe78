#pragma once

#include <atomic>
#include <cstdint>

#include "common/base/clock.h"

namespace arcshard {

// For tests: the time changes only by Advance, and the date also by SetBack and SetForward. Thread-safe.
class FakeClock final : public Clock {
 public:
  MonotonicTime Now() const override { return MonotonicTime() + absl::Nanoseconds(nanos_.load()); }
  absl::Time WallTime() const override { return absl::FromUnixNanos(nanos_.load() + offset_.load()); }
  // Looks again every millisecond of real time, since Advance does not know who waits.
  void WaitUntil(MonotonicTime, Mutex* mutex, CondVar* condition) const override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    condition->WaitFor(mutex, absl::Milliseconds(1));
  }
  void Advance(absl::Duration by) { nanos_ += absl::ToInt64Nanoseconds(by); }
  // Somebody sets the machine's date.
  void SetBack(absl::Duration by) { offset_ -= absl::ToInt64Nanoseconds(by); }
  void SetForward(absl::Duration by) { offset_ += absl::ToInt64Nanoseconds(by); }

 private:
  std::atomic<int64_t> nanos_{1'000'000'000'000};
  std::atomic<int64_t> offset_{1'700'000'000'000'000'000 - 1'000'000'000'000};  // of the date
};

}  // namespace arcshard
