#pragma once

#include "absl/status/status.h"
#include "common/config/run_config.h"

namespace arcshard::launcher {

// NotFound: files that the configuration names are not there. One sentence with the key and path of each.
absl::Status CheckInputs(const RunConfig& config);

}  // namespace arcshard::launcher
