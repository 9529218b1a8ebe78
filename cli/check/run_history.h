#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/checkpoint/manifest.h"
#include "common/config/run_config.h"
#include "common/io/file_system.h"
#include "common/protocol/types.h"
#include "shard_server/record/record_file.h"

namespace arcshard::cli {

// What a run has recorded of the way to its newest checkpoint. Decisions lead from state to state, and each record says
// from which state its step went on; so the way is found from its end. Steps that a rollback has undone are not on it.
struct RunHistory {
  struct Checkpoint {
    StatePoint point;
    std::string folder;
  };

  RunConfig config;  // of the newest checkpoint; all records are of the same, as far as numbers depend on it
  Manifest newest;
  StatePoint start;                     // where the records begin
  std::string start_folder;             // of the checkpoint of that state; empty: it is the first weights
  std::vector<StatePoint> steps;        // the states after the recorded steps, in order
  std::vector<Checkpoint> checkpoints;  // those of these states, in order; the newest is the last
  std::vector<std::string> notes;       // sentences about what is not part of the history
};

// Reads and checks every record on the way. NotFound: there are no records or no complete checkpoint, or records are
// missing. FailedPrecondition: a record is of another configuration than the newest checkpoint. InvalidArgument: its
// configuration cannot be read. Also the errors of ReadRecord and OpenCheckpoint::Open.
absl::StatusOr<RunHistory> OpenHistory(FileSystem* files, const std::string& run_folder);

// "steps 1 to 40", "step 1".
std::string StepsText(uint64_t first, uint64_t last);

}  // namespace arcshard::cli
