#pragma once

#include "absl/status/status.h"
#include "common/config/run_config.h"

namespace arcshard {

// Whether a run of configuration `then` can go on with `now`. What makes the state, its order of samples and the shape
// of its tensors must be the same; schedule, loss, numbers of processes and the like may change. FailedPrecondition:
// names the first key that differs, and both values. head.classes may be 0 in one of them: N itself is compared later.
absl::Status CheckResumable(const RunConfig& now, const RunConfig& then);

}  // namespace arcshard
