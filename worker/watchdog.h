#pragma once

#include <functional>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace arcshard::worker {

// Ends a process that does not end by itself after its run has ended: something may wait for a process or a disk that
// is gone, and cannot be interrupted (NCCL's first sum). Thread-safe.
class Watchdog {
 public:
  struct Options {
    const Clock* clock = nullptr;  // outlives the watchdog
    absl::Duration grace = absl::Seconds(4);
    // Called by the watchdog's thread when `grace` has passed since Arm, with the status of Arm.
    std::function<void(const absl::Status&)> expired = nullptr;
  };
  explicit Watchdog(Options options);

  ~Watchdog();  // the process ends by itself: `expired` is not called any more

  // The run has ended with `status`. Only the first call counts.
  void Arm(const absl::Status& status);

 private:
  void Watch();

  const Options options_;
  Mutex mutex_;
  CondVar changed_;
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
  MonotonicTime deadline_ ABSL_GUARDED_BY(mutex_);  // with ended_
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace arcshard::worker
