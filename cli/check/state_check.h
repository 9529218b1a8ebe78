#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/check/finding.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/io/file_system.h"
#include "worker/backbone/layers/named_tensor.h"
#include "worker/training/worker_state.h"

// Compares a worker's state, which was computed again, with what workers have written.
namespace arcshard::cli {

// A finding for each of the worker's files in a checkpoint of this state.
std::vector<Finding> CompareState(const OpenCheckpoint& checkpoint, const worker::WorkerState& state);

// With the backbone that the run has left in its folder; nullopt: it has left none of this step, as when it was killed.
std::optional<Finding> CompareFinalBackbone(const std::string& run_folder, uint64_t step,
                                            const worker::Backbone& backbone);

}  // namespace arcshard::cli
