#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/coordinator/simulated_run.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace arcshard::bench {

// Simulated members that attend a coordinator, each through a stream and a connection of its own, and send heartbeats
// by the clock. One thread makes its calls.
class LoopbackMembers {
 public:
  LoopbackMembers(const Size& size, const Clock* clock);
  ~LoopbackMembers();  // cancels the streams, and waits for their end

  // Connects all, one after the other, and returns once the first step is planned. Errors are those of the connections
  // and of the streams.
  absl::Status Join(const std::string& coordinator);

  struct StepTimes {
    absl::Duration all;         // from the first vote until all have the decision
    absl::Duration after_last;  // from the last vote
  };
  // All vote for the planned step. Requires: Join was OK.
  absl::StatusOr<StepTimes> Step();

 private:
  class Member;

  // Waits until all are told of the step, or until a stream has ended.
  absl::Status AwaitPlanned();
  void SetAwaited(uint64_t step);
  void NotePlanned(uint64_t step);  // a member is told of it
  void NoteEnded(const absl::Status& status);
  void SendBeats();

  const Clock* const clock_;
  uint64_t step_ = 0;  // that was awaited last
  Mutex mutex_;
  CondVar changed_;
  uint64_t awaited_ ABSL_GUARDED_BY(mutex_) = 0;  // the step
  size_t missing_ ABSL_GUARDED_BY(mutex_) = 0;    // members that are not told of it yet
  size_t open_ ABSL_GUARDED_BY(mutex_) = 0;       // streams
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);  // of the first stream that has ended
  bool leaves_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<Member>> members_;
  std::thread beats_;
};

}  // namespace arcshard::bench
