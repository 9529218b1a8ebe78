#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/program/signal_queue.h"

// How coordinator, shard and worker end when a signal tells them to.
namespace arcshard {

inline constexpr char kStopGrace[] = "10m";  // default of --stop-grace
inline constexpr char kStopGraceHelp[] =
    "How long the run may take to end in order after SIGTERM, SIGINT or SIGHUP, such as 60s or inf; then, and at a "
    "second SIGTERM or SIGINT, this process ends at once";

// A queue of the signals that tell a server to end: SIGINT, SIGTERM, and SIGHUP, which a terminal sends when it goes
// away. SIGPIPE is ignored, since a server goes on when the reader of its log is gone.
absl::StatusOr<std::unique_ptr<SignalQueue>> TakeStopSignals();

// Follows a process's signals on a thread of its own, until it is destroyed:
//
//   ── first signal ► ask ── true ── the process ends by itself, and destroys this
//                      │      │── grace has passed ───────────┐
//                      │      └── SIGINT or SIGTERM again ────┤
//                      └ false: there is nothing to end ──────┴─► end
//
// SIGHUP is never the second signal: it comes beside others when a session ends. And a signal that comes within a
// moment of another is the same request: timeout(1) sends two, to a process and to its group.
class StopOnSignal {
 public:
  struct Options {
    SignalQueue* signals = nullptr;  // outlives this
    const Clock* clock = nullptr;    // likewise
    absl::Duration grace = absl::InfiniteDuration();
    bool ends_when_repeated = true;  // false: a launcher decides when this process ends at once
    // Asks for the orderly end because of `signal`, "SIGTERM". False: there is nothing yet that could end in order.
    std::function<bool(const std::string& signal)> ask;
    // Ends the process at once. A test may let it return; the thread then has nothing more to do.
    std::function<void(int signal, const std::string& why)> end = EndProcess;
  };

  explicit StopOnSignal(Options options);
  ~StopOnSignal();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  // The exit status of a process that has failed: 128 + the first signal; 1: no signal has come.
  int FailureStatus() const;

 private:
  static constexpr absl::Duration kSameRequest = absl::Milliseconds(200);

  // Logs `why` as an error and exits with 128 + signal.
  static void EndProcess(int signal, const std::string& why);

  void Follow();
  // After the first signal, `name`: waits for the end, the grace's end or another signal.
  void AwaitEnd(int signal, const std::string& name);
  // Drops the signals that belong to the one that has just come, for as long as they may come and at most `left`. True:
  // this is being destroyed.
  bool EndsDuringRequest(absl::Duration left);

  const Options options_;
  std::atomic<int> signal_ = 0;  // the first one
  std::thread thread_;
};

}  // namespace arcshard
