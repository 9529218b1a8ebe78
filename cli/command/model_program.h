#pragma once

#include "absl/status/statusor.h"

namespace arcshard::cli {

// Replaces this process by arcshard-model, which is beside this program, with the same command line. arcshard-model
// links LibTorch and carries out the commands that compute with it; arcshard does not, because loading LibTorch takes
// most of a second, which status, plan or --version should not wait for. Both declare these commands with the same
// classes, so the command line means the same to both. Returns only errors: arcshard-model cannot be started.
absl::StatusOr<int> HandOverToModelProgram();

}  // namespace arcshard::cli
