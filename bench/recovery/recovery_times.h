#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/local_run/local_run.h"

namespace arcshard::bench {

// From a fault to the next decided step, in seconds, once for each repeat.
struct RecoveryTimes {
  std::vector<double> worker;       // killed, and started again at once
  std::vector<double> coordinator;  // likewise
  std::vector<double> hang;         // a worker that is stopped, and not replaced
  // A shard that is killed, whose place a spare takes. Of this time: loading the checkpoint, replaying the steps since,
  // and how long that was to take by what another shard said before the kill.
  std::vector<double> shard, load, replay, predicted_replay;
  double replayed_steps = 0;  // mean
};

struct RecoveryTimesOptions {
  LocalRun::Options run;
  int repeats = 20;
  uint64_t steps_between = 3;  // undisturbed, before each fault
  uint64_t steps_in_log = 30;  // since the last checkpoint, when a shard is killed
};

// Errors as LocalRun's.
absl::StatusOr<RecoveryTimes> MeasureRecovery(const RecoveryTimesOptions& options);

}  // namespace arcshard::bench
