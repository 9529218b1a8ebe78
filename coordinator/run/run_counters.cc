#include "coordinator/run/run_counters.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/failure_details.h"

namespace arcshard::coordinator {

RunCounters RunCounters::FromManifest(const Manifest& manifest) {
  return {.skipped = manifest.skipped,
          .skips_in_a_row = manifest.skips_in_a_row,
          .corrupt_records = manifest.corrupt_records,
          .corrupt_in_epoch = manifest.corrupt_in_epoch,
          .best = manifest.best};
}

void RunCounters::ToManifest(Manifest* manifest) const {
  manifest->skipped = skipped;
  manifest->skips_in_a_row = skips_in_a_row;
  manifest->corrupt_records = corrupt_records;
  manifest->corrupt_in_epoch = corrupt_in_epoch;
  manifest->best = best;
}

void RunCounters::CountStep(const StepVerdict& verdict, bool begins_epoch) {
  if (begins_epoch) corrupt_in_epoch = 0;
  corrupt_in_epoch += verdict.corrupt_records;
  corrupt_records += verdict.corrupt_records;
  if (verdict.outcome == Outcome::kSkip) {
    ++skips_in_a_row;
    ++skipped;
  } else {
    skips_in_a_row = 0;
  }
}

absl::Status RunCounters::Check(const RunConfig& config, uint64_t samples, uint64_t step,
                                const StepVerdict& verdict) const {
  if (verdict.outcome == Outcome::kSkip && skips_in_a_row >= config.run.max_skips) {
    return WithDetails(
        absl::AbortedError(absl::StrCat(skips_in_a_row, " steps in a row were not finite (run.max_skips), step ", step,
                                        " because of ", verdict.reason)),
        {.pid = verdict.culprit});
  }
  // An epoch reads every position of the permutation once, so this counts records, over all workers.
  const double share = config.data.max_corrupt_share;
  if (static_cast<double>(corrupt_in_epoch) > share * static_cast<double>(samples)) {
    return absl::DataLossError(
        absl::StrFormat("%d of data.train's %d records could not be decoded in this epoch, by step %d; "
                        "data.max_corrupt_share allows %g",
                        corrupt_in_epoch, samples, step, share));
  }
  return absl::OkStatus();
}

}  // namespace arcshard::coordinator
