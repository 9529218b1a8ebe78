#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/run_config.h"

namespace arcshard::cli {

// Looks inside the files that the configuration names: opens the training set and decodes some of its images, decodes
// all images of the verification sets, and reads the tables of tensors of safetensors files. Returns what it found, a
// sentence each. Errors: the first thing that would end the run, with its key. resumes: as in CheckInputs.
absl::StatusOr<std::vector<std::string>> InspectInputs(const RunConfig& config, bool resumes);

}  // namespace arcshard::cli
