#pragma once

#include "absl/status/status.h"
#include "common/config/run_config.h"

namespace arcshard::cli {

// NotFound: files that the configuration names are not there, or data.train is not of data.format. One sentence with
// the key and path of each. What is in the files is for those to say who read them. `resumes`: the run goes on from a
// checkpoint, and what only a new one begins from may be gone.
absl::Status CheckInputs(const RunConfig& config, bool resumes);

}  // namespace arcshard::cli
