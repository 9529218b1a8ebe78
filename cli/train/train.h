#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace arcshard::cli {

struct TrainOptions {
  std::string config;                  // YAML file; with `resume` not needed
  std::vector<std::string> overrides;  // "section.key=value"
  std::string resume = {};             // folder of a run that goes on from its newest checkpoint; empty: a new run
  bool restart = false;                // a new run in a folder with checkpoints, which are put aside
  bool allow_older = false;            // with `resume`: from an older checkpoint where the newest is damaged
  // Handed out in turn: shard i gets shard_devices[i modulo their number]. None: the CPU.
  std::vector<std::string> shard_devices = {};   // cpu, cuda or cuda:N
  std::vector<std::string> worker_devices = {};  // likewise
  std::string bin_folder;                        // where arcshard-coordinator, arcshard-shard and arcshard-worker are
};

// Reads the configuration, checks that the files that it names are there, and prints it.
absl::Status DryRun(const TrainOptions& options);

// `arcshard train`: a run's coordinator, shards and workers as processes of this machine, from start to end (DESIGN
// §6). Progress goes to stdout, why it failed to stderr, and in both cases how the run can go on. SIGINT or SIGTERM: an
// orderly stop, with a checkpoint; again: at once.
//
// Returns the exit status: 0 after an orderly end or stop, 130 when stopped at once, otherwise that of the process that
// failed first. Errors: nothing was started, or not everything could be. No process is left in any case.
absl::StatusOr<int> Train(const TrainOptions& options);

}  // namespace arcshard::cli
