#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/io/line_log.h"
#include "coordinator/run/run_status.h"

namespace arcshard::coordinator {

// RUN/metrics.jsonl: a JSON object a line about what happened in a run, for plots and for `arcshard report`.
// docs/metrics_log.md lists the fields. Kinds of lines: run (a coordinator has started), view (members and their
// ranges), step, verification, end.
//
// Of the steps there is a line once a second, later less often, up to once in 10 s: a run of any length leaves a few
// megabytes a day. A coordinator that starts again in the folder appends. What cannot be written is lost, with one
// warning in the log; the run goes on. Not thread-safe.
class MetricsLog {
 public:
  // Of the `run` line.
  struct Start {
    std::string config;  // the name of its file
    std::string version;
    uint64_t incarnation = 0;
    uint64_t resumed_step =
        0;                // of the checkpoint that this life goes on from; what an earlier one told beyond is void
    uint32_t shards = 0;  // that the configuration asks for
    uint32_t workers = 0;
    std::string host;
    int64_t pid = 0;
  };

  // Writes the `run` line. `clock` outlives this.
  MetricsLog(std::string path, const Clock* clock, const Start& start);

  // Writes what is new since the last look, so look often: of two verifications between two looks one is missed.
  void Look(const RunStatus& status);

  // Whether all lines so far were written.
  bool complete() const { return lines_.complete(); }

 private:
  void LookAtStep(const RunStatus& status, bool ended);

  LineLog lines_;
  const Clock* const clock_;
  const absl::Time started_;

  std::optional<View> view_;  // of the last line of each kind
  uint64_t step_ = 0;
  absl::Time step_written_ = absl::InfinitePast();
  uint64_t verification_step_ = 0;
  bool verified_ = false;
  bool ended_ = false;
};

}  // namespace arcshard::coordinator
