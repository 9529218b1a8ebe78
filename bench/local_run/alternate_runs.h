#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/local_run/local_run.h"

namespace arcshard::bench {

// What a step costs with something and without it, measured alternately: two runs, of which one is stopped while the
// other one makes its steps. An entry for each pair of such slices.
struct AlternateSteps {
  std::vector<double> seconds_with, seconds_without;      // of a step
  std::vector<double> processor_with, processor_without;  // of all processes in a step
  uint64_t checkpoints = 0;                               // that the run with it has completed
};

// Errors as LocalRun's.
absl::StatusOr<AlternateSteps> AlternateRuns(const LocalRun::Options& with, const LocalRun::Options& without, int pairs,
                                             uint64_t steps);

}  // namespace arcshard::bench
