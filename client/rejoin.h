#pragma once

#include <algorithm>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"

namespace arcshard::client {

// Whether a stream that ended with `status` was lost, so that its participant registers again. Every other status is
// the coordinator's word that this process has no place in the run any more.
inline bool MeansLost(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kInternal:  // gRPC's, as kUnknown: when something between the two processes broke
    case absl::StatusCode::kUnknown:
      return true;
    default:
      return false;
  }
}

// When a participant that has lost its coordinator tries to register again, and when it gives up:
//
//   try ── lost ── pause ── try ── lost ── twice the pause ── try ─ ··· ─ gives up
//             └───────────────────── timeout ──────────────────────────────┘   a Welcome ends the count
//
// Its owner says what happens, and when. Not thread-safe.
class Rejoin {
 public:
  static constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
  static constexpr absl::Duration kLongestPause = absl::Seconds(1);
  // How long a process that was told to end waits for a lost coordinator: one that restarts is there by then, and can
  // still end the run in order.
  static constexpr absl::Duration kPatienceAtTheEnd = absl::Seconds(10);

  explicit Rejoin(absl::Duration timeout) : timeout_(timeout) {}
  void SetTimeout(absl::Duration timeout) { timeout_ = timeout; }

  // A registration is sent. Pauses are counted from here: who is taken in and lost at once does not try in a tight
  // loop, and who was taken in for long does not wait.
  void OnTry(MonotonicTime now) {
    next_try_ = now + pause_;
    pause_ = std::min(2 * pause_, kLongestPause);
  }
  void OnLost(MonotonicTime now) {
    if (!lost_since_.has_value()) lost_since_ = now;
  }
  // The coordinator has taken this process in.
  void OnWelcomed() {
    lost_since_.reset();
    pause_ = kFirstPause;
  }
  void OnToldToEnd(MonotonicTime now) {
    if (!told_to_end_.has_value()) told_to_end_ = now;
  }

  // Since the first loss after the last Welcome.
  std::optional<MonotonicTime> lost_since() const { return lost_since_; }
  MonotonicTime next_try() const { return next_try_; }
  // The infinite future where nothing is lost.
  MonotonicTime gives_up_at() const {
    if (!lost_since_.has_value()) return MonotonicTime::InfiniteFuture();
    const MonotonicTime end = *lost_since_ + timeout_;
    if (!told_to_end_.has_value()) return end;
    return std::min(end, std::max(*lost_since_, *told_to_end_) + kPatienceAtTheEnd);
  }

 private:
  absl::Duration timeout_;
  absl::Duration pause_ = kFirstPause;
  MonotonicTime next_try_;
  std::optional<MonotonicTime> lost_since_;
  std::optional<MonotonicTime> told_to_end_;
};

}  // namespace arcshard::client
