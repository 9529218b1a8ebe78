#pragma once

#include <string>
#include <vector>

#include "cli/train/train.h"
#include "common/config/run_config.h"

namespace arcshard::cli {

// Sentences on what the processes of the run that compute on this machine's CPU compute slowly (compute_notes.h).
std::vector<std::string> NotesOnThisMachine(const TrainOptions& options, const RunConfig& config);

}  // namespace arcshard::cli
