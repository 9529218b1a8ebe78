#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/io/line_log.h"
#include "coordinator/run/run_status.h"
#include "coordinator/run_folder/event_file.h"

namespace arcshard::coordinator {

// Writes RUN/metrics.jsonl: the events of a run, one JSON object a line, for plots and for `arcshard report`.
// docs/metrics_log.md lists the fields. Kinds of lines: run (a coordinator has started), view (members and their
// ranges), step, verification, end.
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
    // The step of the checkpoint that this life of the run resumes from. It voids what earlier lives wrote about later
    // steps.
    uint64_t resumed_step = 0;
    uint32_t shards = 0;  // as the configuration asks for
    uint32_t workers = 0;
    std::string host;
    int64_t pid = 0;
  };

  // Writes the `run` line. `clock` outlives this. events: gets steps and verifications too; null: there are none.
  MetricsLog(std::string path, const Clock* clock, const Start& start, std::unique_ptr<EventFile> events = nullptr);

  // Writes what is new since the last call. Call it often: of two verifications between two calls one is missed.
  void Look(const RunStatus& status);

  // Whether all lines so far were written.
  bool complete() const { return lines_.complete(); }

 private:
  void LookAtStep(const RunStatus& status, bool ended);
  absl::Duration Elapsed() const { return clock_->Now() - started_; }  // since the `run` line

  LineLog lines_;
  const std::unique_ptr<EventFile> events_;
  const Clock* const clock_;
  const MonotonicTime started_;

  // What the last line of each kind said.
  std::optional<View> view_;
  uint64_t step_ = 0;
  MonotonicTime step_written_ = MonotonicTime::InfinitePast();
  uint64_t verification_step_ = 0;
  bool verified_ = false;
  bool ended_ = false;
};

}  // namespace arcshard::coordinator
