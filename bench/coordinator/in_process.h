#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/coordinator/simulated_run.h"

namespace arcshard::bench {

// What a run costs its coordinator, without the network: what coordinator_process.cc does to its session, but on one
// thread and on a clock that the benchmark moves. CPU time in milliseconds, but for last_vote_ms. The parts of a step
// are means, since not every step has a line of metrics.jsonl and a pulse.
struct InProcessCost {
  double join_ms = 0.0;       // from the first registration to the first step
  double step_ms = 0.0;       // a step: votes_ms + beats_ms + ticks_ms
  double votes_ms = 0.0;      // all votes, and the decision to all
  double beats_ms = 0.0;      // the heartbeats of that time
  double ticks_ms = 0.0;      // what depends on time alone, with the look of metrics.jsonl
  double last_vote_ms = 0.0;  // median wall time from the last vote until all have the decision
  double hang_tick_ms = 0.0;  // a tick while one worker hangs and all others wait for it
  double new_view_ms = 0.0;   // all wait for each other in vain: a view with the same members, to its first step
};

struct InProcessOptions {
  Size size;
  int steps = 30;                                      // measured
  absl::Duration step_time = absl::Milliseconds(100);  // on the run's clock
  std::string folder = {};                             // is deleted before and after
};

// Errors say what the coordinator did otherwise than expected.
absl::StatusOr<InProcessCost> MeasureInProcess(const InProcessOptions& options);

}  // namespace arcshard::bench
