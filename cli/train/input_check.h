#pragma once

#include "absl/status/status.h"
#include "common/config/run_config.h"

namespace arcshard::cli {

// Checks that the files that the configuration names exist and that data.train has the form of data.format. NotFound:
// one sentence with the key and path of each that is missing. The contents of the files are not checked here. resumes:
// the run resumes from a checkpoint, so the files that only a new run starts from need not exist.
absl::Status CheckInputs(const RunConfig& config, bool resumes);

}  // namespace arcshard::cli
