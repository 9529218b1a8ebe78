#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/config/run_config.h"

namespace arcshard {

// Checks whether a run that was checkpointed under the configuration `then` can resume under `now`: the keys that the
// schema marks as fixed on resume (schema.h, OnResume) must have the same values; schedule, loss, numbers of processes
// and the like may change. FailedPrecondition: names the first key that differs, and both values.
absl::Status CheckResumable(const RunConfig& now, const RunConfig& then);

// What a run that resumes under `now` does otherwise than under `then`, a sentence for each key: "schedule.epochs is 3,
// was 2". run.folder is left out: a run that was moved is the same run.
std::vector<std::string> DescribeChanges(const RunConfig& now, const RunConfig& then);

}  // namespace arcshard
