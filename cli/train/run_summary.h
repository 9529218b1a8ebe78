#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "arcshard/v1/coordinator.pb.h"
#include "common/base/failure_details.h"
#include "common/config/run_config.h"
#include "common/io/file_system.h"

// What `arcshard train` prints when a run has ended.
namespace arcshard::cli {

struct RunSummary {
  std::string headline = {};       // what was trained; empty: there is no headline
  std::vector<std::string> lines;  // below it
};

// The recoveries of a run, over all lives of its coordinator: each of them counts from 0.
class RecoveryTally {
 public:
  void Take(const v1::Progress& report);
  void BeginLife();  // of the coordinator

  uint64_t recoveries() const { return before_.recoveries + now_.recoveries; }
  uint64_t lost_steps() const { return before_.lost_steps + now_.lost_steps; }

 private:
  struct Counts {
    uint64_t recoveries = 0;
    uint64_t lost_steps = 0;
  };
  Counts before_;  // in earlier lives
  Counts now_;
};

struct EndedRun {
  v1::Progress progress;  // the last report
  RecoveryTally recoveries = {};
  bool interrupted = false;    // by the user
  absl::Duration trained_for;  // since the first report of the training
  std::string backbone;        // path of the trained backbone
  std::string best_backbone;   // path of the backbone with the best verification
  bool logs_lost = false;      // logs/ was deleted or moved meanwhile, and begun anew
};

// Whether all steps of the run are done.
bool IsComplete(const v1::Progress& progress);

// The summary of a run that has ended in order.
RunSummary Summarize(const EndedRun& run, const RunConfig& config);

// A sentence about what is missing in the folder of a run that has ended in order with `progress` as its last report,
// since somebody deleted it; empty: nothing is known to be. backbone: where the run has written the trained one.
std::string WhatIsLost(FileSystem* files, const v1::Progress& progress, const std::string& backbone);

// What a run that resumes under `config` does otherwise than its newest checkpoint was made under, a line for each key.
// Empty also if there is no readable checkpoint: the coordinator says why.
std::vector<std::string> ChangesSinceCheckpoint(FileSystem* files, const RunConfig& config);

// How to resume a run whose processes have ended because of `cause`: a sentence with the command. Empty: the run cannot
// be resumed, since it has no complete checkpoint or no config.yaml.
std::string HowToResume(FileSystem* files, const std::string& run_folder, FailureCause cause);

}  // namespace arcshard::cli
