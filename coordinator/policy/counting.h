#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "common/config/run_config.h"
#include "common/protocol/run_counters.h"
#include "coordinator/policy/decisions.h"

namespace arcshard::coordinator {

// Counts a decided step. `begins_epoch`: it is the first one of its epoch.
void CountStep(const StepVerdict& verdict, bool begins_epoch, RunCounters* counters);

// Whether the run may continue after `step`, whose verdict was just counted. `samples`: of the training set.
// Aborted: run.max_skips steps in a row were skipped. DataLoss: more of an epoch's records were corrupt than
// data.max_corrupt_share allows.
absl::Status CheckCounters(const RunCounters& counters, const RunConfig& config, uint64_t samples, uint64_t step,
                           const StepVerdict& verdict);

}  // namespace arcshard::coordinator
