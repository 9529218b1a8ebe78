#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/config/run_config.h"
#include "common/io/file_system.h"
#include "coordinator/policy/resume.h"

namespace arcshard::coordinator {

enum class ResumeMode { kNo, kYes, kAuto };

struct StartOptions {
  ResumeMode resume = ResumeMode::kNo;
  bool restart = false;      // puts old checkpoints aside; not with kYes
  bool allow_older = false;  // if the newest checkpoint is damaged, an older one is taken
};

// Where a run starts from.
struct StartPoint {
  RunConfig config;                   // as given, but init_from.checkpoint names the checkpoint itself
  std::optional<ResumePoint> resume;  // none: a new run
  std::string put_aside = {};         // where a restart has moved the earlier checkpoints; empty: it moved none
  // In which this run began. Processes that hold states of earlier incarnations belong to another run.
  uint64_t first_incarnation = 1;
};

// Decides from where the run starts, by what is in run.folder, which this process owns. Deletes incomplete files that a
// killed process has left there, and renames checkpoints once no check can fail any more. Logs what it changes.
//
//   kNo    a new run. FailedPrecondition: there are complete checkpoints, and `restart` is not set.
//   kYes   the newest complete checkpoint. NotFound: there is none.
//   kAuto  the newest complete checkpoint, or a new run if there is none: then a run whose coordinator was started
//          again before its first checkpoint, if processes that hold its state come back.
//
// `restart` renames the folder of checkpoints to checkpoints-before-<incarnation>; init_from.checkpoint may be one of
// them. RestartUndo moves them back. A run that resumes does not use its init_from.checkpoint. With `allow_older`
// checkpoints are read and checked in full, from the newest backwards, and a damaged one is renamed to <its
// name>.damaged. Otherwise the newest is only opened here; its files are checked when the members read them.
//
// FailedPrecondition: the run cannot resume with this configuration (CheckResumable). DataLoss: the newest checkpoint
// is damaged, or with `allow_older` all are; the message names the file. Other errors are the file system's.
absl::StatusOr<StartPoint> DecideStart(FileSystem* files, const RunConfig& config, const StartOptions& options,
                                       uint64_t incarnation);

}  // namespace arcshard::coordinator
