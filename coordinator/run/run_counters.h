#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "common/checkpoint/manifest.h"
#include "common/config/run_config.h"
#include "common/protocol/best_verification.h"
#include "common/protocol/verification_report.h"
#include "coordinator/policy/decisions.h"

namespace arcshard::coordinator {

// What the coordinator counts over the whole run: manifests keep it, so that it outlives the coordinator.
struct RunCounters {
  uint64_t skipped = 0;  // steps
  uint64_t skips_in_a_row = 0;
  uint64_t corrupt_records = 0;
  uint64_t corrupt_in_epoch = 0;  // in the epoch of the last counted step
  BestVerification best = {};
  friend bool operator==(const RunCounters&, const RunCounters&) = default;

  static RunCounters FromManifest(const Manifest& manifest);
  void ToManifest(Manifest* manifest) const;

  // `begins_epoch`: the step is the first one of its epoch.
  void CountStep(const StepVerdict& verdict, bool begins_epoch);
  void CountVerification(uint64_t step, const std::vector<VerificationReport>& sets) { best.Take(step, sets); }

  // Whether the run may continue after `step`, whose verdict was just counted. `samples`: of the training set.
  // Aborted: run.max_skips steps in a row were skipped. DataLoss: more of an epoch's records were corrupt than
  // data.max_corrupt_share allows.
  absl::Status Check(const RunConfig& config, uint64_t samples, uint64_t step, const StepVerdict& verdict) const;
};

}  // namespace arcshard::coordinator
