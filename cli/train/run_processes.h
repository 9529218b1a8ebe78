#pragma once

#include <cstdint>
#include <string>

#include "cli/supervision/process.h"
#include "cli/train/train.h"
#include "common/config/run_config.h"

// The processes of a run: their arguments and environment. Program and log are left empty. Pure functions.
namespace arcshard::cli {

// announce_fd: the coordinator's end of the Announcement.
Process::Options CoordinatorProcess(const TrainOptions& options, int announce_fd);

// coordinator: its host:port.
Process::Options ShardProcess(const TrainOptions& options, const RunConfig& config, const std::string& coordinator,
                              uint32_t index);
Process::Options WorkerProcess(const TrainOptions& options, const RunConfig& config, const std::string& coordinator,
                               uint32_t index);

}  // namespace arcshard::cli
