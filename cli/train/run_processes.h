#pragma once

#include <cstdint>
#include <string>

#include "cli/supervision/process.h"
#include "cli/train/train.h"
#include "common/config/run_config.h"

// The processes of a run: their arguments and environment. Program and log are left empty. Pure functions.
namespace arcshard::cli {

// listen: its host:port. announce_fd: the coordinator's end of the Announcement.
Process::Options CoordinatorProcess(const TrainOptions& options, const std::string& listen, int announce_fd);
// A later life of the coordinator, in the same run: at the same host:port, where the members come back to it, and
// whatever the run began with. config: file of the run's resolved configuration, since the user may have changed his.
Process::Options LaterCoordinatorProcess(const std::string& config, const std::string& address, int announce_fd);

// coordinator: its host:port.
Process::Options ShardProcess(const TrainOptions& options, const RunConfig& config, const std::string& coordinator,
                              uint32_t index);
// A later life of a shard: it waits for its place, should the coordinator not know yet that it is free.
Process::Options LaterShardProcess(const TrainOptions& options, const RunConfig& config, const std::string& coordinator,
                                   uint32_t index);
// In a later life, too.
Process::Options WorkerProcess(const TrainOptions& options, const RunConfig& config, const std::string& coordinator,
                               uint32_t index);

}  // namespace arcshard::cli
