#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/command/command.h"
#include "cli/command/run_options.h"

namespace arcshard::cli {

struct TrainOptions {
  std::string config;                  // YAML file; not needed with `resume`
  std::vector<std::string> overrides;  // "section.key=value"
  std::string resume = {};             // folder of a run to resume from its newest checkpoint; empty: a new run
  bool restart = false;                // start a new run in a folder with checkpoints, which are moved aside
  bool allow_older = false;            // with `resume`: take an older checkpoint if the newest is damaged
  // Assigned in turn: shard i gets shard_devices[i modulo their number]. Empty: the CPU.
  std::vector<std::string> shard_devices = {};   // cpu, cuda or cuda:N
  std::vector<std::string> worker_devices = {};  // likewise
  bool quiet = false;                            // print nothing but errors
  uint32_t max_restarts = 5;  // of one process within ten minutes, after deaths by signals; 0: the first ends the run
  std::string trace = {};     // file for a trace of all processes; empty: there is none
  std::string bin_folder;     // with arcshard-coordinator, arcshard-shard and arcshard-worker
};

// Reads the configuration, looks inside the files it names, and prints both.
absl::Status DryRun(const TrainOptions& options);

// Runs a run's coordinator, shards and workers as processes of this machine until they end (DESIGN §6). Progress goes
// to stdout and the reason of a failure to stderr; both then say how to resume. The first SIGINT or SIGTERM stops the
// run in order, with a checkpoint; the second stops it at once. SIGHUP and SIGPIPE, of a terminal or a reader that goes
// away, stop it in order too, unless they are ignored as nohup does. A process that is killed by a signal is started
// again, and the run recovers.
//
// Returns the exit status: 0 after an orderly end or stop, 130 after a stop at once, otherwise that of the process
// whose failure ended the run. Errors: no process, or not every process, could be started. All processes have ended
// when it returns.
absl::StatusOr<int> Train(const TrainOptions& options);

// `arcshard train`.
class TrainCommand : public Command {
 public:
  explicit TrainCommand(CommandLine program);

  absl::Status Check() const override;
  absl::StatusOr<int> Run() override;
  bool prints_result() const override { return dry_run_; }  // a run's results are files

 private:
  TrainOptions options_;
  ClusterSize cluster_;
  bool dry_run_ = false;
};

}  // namespace arcshard::cli
