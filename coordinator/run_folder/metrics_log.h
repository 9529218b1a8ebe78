#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/io/line_log.h"
#include "coordinator/progress/run_status.h"
#include "coordinator/run_folder/event_file.h"

namespace arcshard::coordinator {

// Writes RUN/metrics.jsonl: the events of a run, one JSON object a line, for plots and for `arcshard report`.
// docs/metrics_log.md lists the fields. Kinds of lines: run (a coordinator has started), view (members and their
// ranges), recovery (the run goes on after a loss), step, verification, end.
//
// Not every step gets a line: at first one step a second does, later fewer, at least one in 10 s, so that a long run
// writes a few megabytes a day. A coordinator that restarts in the folder appends. Lines that cannot be written are
// lost with one warning in the log; the run continues. Not thread-safe.
class MetricsLog {
 public:
  // The fields of the `run` line.
  struct Start {
    std::string config;  // the name of its file
    std::string version;
    uint64_t incarnation = 0;
    uint32_t shards = 0;  // as the configuration asks for
    uint32_t workers = 0;
    std::string host;
    int64_t pid = 0;
  };

  // `clock` outlives this. events: gets steps and verifications too; null: there are none.
  MetricsLog(std::string path, const Clock* clock, Start start, std::unique_ptr<EventFile> events = nullptr);

  // Writes what is new since the last call; at first the `run` line, once it is known from which step this life of the
  // run goes on. Call it often: of two verifications, or two recoveries, between two calls one is missed.
  void Look(const RunStatus& status);
  // Whether Look may write something: false where it would not. It asks nothing of the members, which need not be in
  // `status`.
  bool WantsToLook(const RunStatus& status) const;

  // Whether all lines so far were written.
  bool complete() const { return lines_.complete(); }

 private:
  void LookAtStart(const Progress& progress);
  void LookAtView(const RunStatus& status);
  void LookAtRecovery(const RunStatus& status);
  void LookAtStep(const RunStatus& status);
  void LookAtVerification(const Progress& progress);
  bool StepIsDue(const Progress& progress) const;
  bool VerificationIsNew(const Progress& progress) const;
  absl::Duration Elapsed() const { return clock_->Now() - started_; }  // since what the `run` line says

  LineLog lines_;
  const std::unique_ptr<EventFile> events_;
  const Clock* const clock_;
  const Start start_;
  const MonotonicTime started_;
  const absl::Time started_at_;  // the same by the machine's date

  // What the last line of each kind said.
  bool has_begun_ = false;  // there is a `run` line
  std::optional<View> view_;
  uint64_t recoveries_ = 0;
  uint64_t step_ = 0;
  MonotonicTime step_written_ = MonotonicTime::InfinitePast();
  uint64_t verification_step_ = 0;
  bool verified_ = false;
  bool ended_ = false;
};

}  // namespace arcshard::coordinator
