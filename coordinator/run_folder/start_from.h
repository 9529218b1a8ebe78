#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "common/config/run_config.h"
#include "common/io/file_system.h"
#include "coordinator/run/checkpoints.h"

namespace arcshard::coordinator {

enum class ResumeMode { kNo, kYes, kAuto };

struct StartOptions {
  ResumeMode resume = ResumeMode::kNo;
  bool restart = false;      // old checkpoints are put aside; not with kYes
  bool allow_older = false;  // a damaged newest checkpoint is no error
};

// What a coordinator begins with.
struct StartPoint {
  RunConfig config;                   // as given, but init_from.checkpoint names the checkpoint itself
  std::optional<ResumePoint> resume;  // none: a new run
};

// Looks into run.folder, which this process owns, and decides from where the run starts. Clears up what a process that
// was killed has left half-written there; moves what is moved once nothing can be refused any more. What it changes in
// the folder is logged.
//
//   kNo    a new run. FailedPrecondition: there are complete checkpoints, and no `restart`.
//   kYes   the newest complete checkpoint. NotFound: there is none.
//   kAuto  that, or a new run.
//
// `restart` renames the folder of checkpoints to checkpoints-before-<incarnation>; init_from.checkpoint may be one of
// them. A run that goes on does not look for its init_from.checkpoint. With `allow_older` checkpoints are read and
// checked in full, from the newest backwards; a damaged one is renamed to <its name>.damaged. Without it the
// newest is opened only, its files are checked as they are read.
//
// FailedPrecondition: the configuration is not one that the checkpoint's run can go on with (CheckResumable). DataLoss:
// the newest is damaged, or with `allow_older` all are; names the file. Others: as the file system says.
absl::StatusOr<StartPoint> DecideStart(FileSystem* files, const RunConfig& config, const StartOptions& options,
                                       uint64_t incarnation);

}  // namespace arcshard::coordinator
