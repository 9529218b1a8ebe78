#include "coordinator/start_from.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/config/check_resumable.h"
#include "common/config/load_config.h"
#include "common/io/log.h"

namespace arcshard::coordinator {
namespace {

constexpr absl::string_view kWayOut = "; --allow-older goes on from the newest checkpoint that is whole";

// What no other attempt can mend: the bytes are not there.
bool IsDamage(const absl::Status& status) { return absl::IsDataLoss(status) || absl::IsNotFound(status); }

// Of `complete`, newest first, the first that is whole.
absl::StatusOr<OpenCheckpoint> NewestWhole(FileSystem* files, const std::string& run_folder,
                                           const std::vector<CheckpointId>& complete) {
  absl::Status damage;  // of the newest
  for (const CheckpointId& id : complete) {
    const std::string folder = CheckpointFolder(run_folder, id);
    absl::StatusOr<OpenCheckpoint> checkpoint = OpenCheckpoint::Open(files, folder);
    const absl::Status status = checkpoint.ok() ? checkpoint->Verify() : checkpoint.status();
    if (status.ok()) return checkpoint;
    if (!IsDamage(status)) return status;
    const std::string aside = absl::StrCat(folder, ".damaged");
    RETURN_IF_ERROR(files->Rename(folder, aside));
    RETURN_IF_ERROR(files->SyncFolder(CheckpointsOf(run_folder)));
    LogError(absl::StrCat("a damaged checkpoint is now ", aside, ": ", status.message()));
    if (damage.ok()) damage = status;
  }
  return absl::DataLossError(absl::StrCat("all ", complete.size(), " checkpoints of ", run_folder,
                                          " are damaged; the newest: ", damage.message()));
}

absl::StatusOr<OpenCheckpoint> OpenNewest(FileSystem* files, const std::string& folder) {
  absl::StatusOr<OpenCheckpoint> checkpoint = OpenCheckpoint::Open(files, folder);
  if (checkpoint.ok() || !IsDamage(checkpoint.status())) return checkpoint;
  return absl::DataLossError(absl::StrCat(checkpoint.status().message(), kWayOut));
}

absl::Status CheckConfig(const RunConfig& config, const OpenCheckpoint& checkpoint) {
  const std::string& folder = checkpoint.folder();
  const std::string& yaml = checkpoint.manifest().config_yaml;
  if (yaml.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder, ": was imported, there is no run that could go on from it; init_from.checkpoint starts a new one"));
  }
  ASSIGN_OR_RETURN(const RunConfig then, ParseRunConfig(yaml, absl::StrCat(folder, "/", kManifestName), {}));
  return Annotate(CheckResumable(config, then), folder);
}

absl::Status PutAside(FileSystem* files, const std::string& run_folder, uint64_t incarnation) {
  const std::string aside = absl::StrCat(CheckpointsOf(run_folder), "-before-", incarnation);
  RETURN_IF_ERROR(files->Rename(CheckpointsOf(run_folder), aside));
  RETURN_IF_ERROR(files->SyncFolder(run_folder));
  LogInfo(absl::StrCat("starts anew; the checkpoints of before are now in ", aside));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StartPoint> DecideStart(FileSystem* files, const RunConfig& config, const StartOptions& options,
                                       uint64_t incarnation) {
  const std::string& run_folder = config.run.folder;
  StartPoint start{.config = config, .resume = std::nullopt};
  ASSIGN_OR_RETURN(const std::vector<std::string> removed, CleanUp(files, run_folder));
  for (const std::string& one : removed) LogInfo(absl::StrCat("removed what was left half-written: ", one));
  ASSIGN_OR_RETURN(std::vector<CheckpointId> complete, ListCheckpoints(files, run_folder));
  if (options.restart && !complete.empty()) {
    RETURN_IF_ERROR(PutAside(files, run_folder, incarnation));
    complete.clear();
  }
  if (complete.empty()) {
    if (options.resume == ResumeMode::kYes) {
      return absl::NotFoundError(
          absl::StrCat("run.folder ", run_folder, " has no complete checkpoint that the run could go on from"));
    }
    if (!config.init_from.checkpoint.empty()) {
      ASSIGN_OR_RETURN(start.config.init_from.checkpoint, ResolveCheckpoint(files, config.init_from.checkpoint));
    }
    return start;
  }
  const std::string newest = CheckpointFolder(run_folder, complete.front());
  if (options.resume == ResumeMode::kNo) {
    return absl::FailedPreconditionError(
        absl::StrCat("run.folder ", run_folder, " holds a run that can go on, from ", newest,
                     ": go on with it (arcshard train --resume ", run_folder,
                     "), take another run.folder, or start anew with --restart, which puts its checkpoints aside"));
  }
  ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint,
                   options.allow_older ? NewestWhole(files, run_folder, complete) : OpenNewest(files, newest));
  RETURN_IF_ERROR(CheckConfig(config, checkpoint));
  start.resume = ResumePoint{checkpoint.folder(), checkpoint.manifest()};
  return start;
}

}  // namespace arcshard::coordinator
