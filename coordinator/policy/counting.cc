#include "coordinator/policy/counting.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/failure_details.h"

namespace arcshard::coordinator {

void CountStep(const StepVerdict& verdict, bool begins_epoch, RunCounters* counters) {
  if (begins_epoch) counters->corrupt_in_epoch = 0;
  counters->corrupt_in_epoch += verdict.corrupt_records;
  counters->corrupt_records += verdict.corrupt_records;
  if (verdict.outcome == Outcome::kSkip) {
    ++counters->skips_in_a_row;
    ++counters->skipped;
  } else {
    counters->skips_in_a_row = 0;
  }
}

absl::Status CheckCounters(const RunCounters& counters, const RunConfig& config, uint64_t samples, uint64_t step,
                           const StepVerdict& verdict) {
  if (verdict.outcome == Outcome::kSkip && counters.skips_in_a_row >= config.run.max_skips) {
    return WithDetails(absl::AbortedError(absl::StrCat(counters.skips_in_a_row,
                                                       " steps in a row were not finite (run.max_skips), step ", step,
                                                       " because of ", verdict.reason)),
                       {.pid = verdict.culprit});
  }
  // An epoch reads every position of the permutation once, so this counts records, over all workers.
  const double share = config.data.max_corrupt_share;
  if (static_cast<double>(counters.corrupt_in_epoch) > share * static_cast<double>(samples)) {
    return absl::DataLossError(
        absl::StrFormat("%d of data.train's %d records could not be decoded in this epoch, by step %d; "
                        "data.max_corrupt_share allows %g",
                        counters.corrupt_in_epoch, samples, step, share));
  }
  return absl::OkStatus();
}

}  // namespace arcshard::coordinator
