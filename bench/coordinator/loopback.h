#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "bench/coordinator/simulated_run.h"

namespace arcshard::bench {

// What a run costs its coordinator as a process that serves the members' streams over loopback, each on a connection of
// its own. CPU time is that of the coordinator's process, in milliseconds.
struct LoopbackCost {
  double join_ms = 0.0;       // from its start to the first step
  double votes_ms = 0.0;      // a step, beyond what the same time costs without a step: mean
  double idle_ms = 0.0;       // a second without a step: heartbeats, pulses and ticks
  double step_wall_ms = 0.0;  // of such a step: median
  double last_vote_ms = 0.0;  // wall time from the last vote until all have the decision: median
  double peak_mb = 0.0;       // resident memory at the highest
};

struct LoopbackOptions {
  Size size;
  int steps = 30;             // measured
  std::string programs = {};  // the folder with arcshard-coordinator
  std::string folder = {};    // is deleted before and after
};

// ResourceExhausted: this process may open too few descriptors for so many members. Other errors say how the
// coordinator failed.
absl::StatusOr<LoopbackCost> MeasureLoopback(const LoopbackOptions& options);

}  // namespace arcshard::bench
