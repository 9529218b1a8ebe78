#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace arcshard::launcher {

struct TrainOptions {
  std::string config;                  // YAML file
  std::vector<std::string> overrides;  // "section.key=value"
  // Handed out in turn: shard i gets shard_devices[i modulo their number]. None: the CPU.
  std::vector<std::string> shard_devices = {};   // cpu, cuda or cuda:N
  std::vector<std::string> worker_devices = {};  // likewise
  std::string bin_folder;                        // where arcshard-coordinator, arcshard-shard and arcshard-worker are
};

// Reads the configuration, checks that the files that it names are there, and prints it.
absl::Status DryRun(const TrainOptions& options);

// `arcshard train`: a run's coordinator, shards and workers as processes of this machine, from start to end (DESIGN
// §6). Progress goes to stdout, why it failed to stderr. SIGINT or SIGTERM: an orderly stop; again: at once.
//
// Returns the exit status: 0 after an orderly end or stop, 130 when stopped at once, otherwise that of the process that
// failed first. Errors: nothing was started, or not everything could be. No process is left in any case.
absl::StatusOr<int> Train(const TrainOptions& options);

}  // namespace arcshard::launcher
