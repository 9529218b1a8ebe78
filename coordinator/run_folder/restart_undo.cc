#include "coordinator/run_folder/restart_undo.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/io/log.h"

namespace arcshard::coordinator {
namespace {

absl::Status MoveBack(FileSystem* files, const std::string& run_folder, const std::string& put_aside) {
  const std::string checkpoints = CheckpointsOf(run_folder);
  RETURN_IF_ERROR(CleanUp(files, run_folder).status());
  // Refuses a folder that is not empty.
  if (const absl::Status status = files->RemoveFolder(checkpoints); !status.ok() && !absl::IsNotFound(status)) {
    return status;
  }
  RETURN_IF_ERROR(files->Rename(put_aside, checkpoints));
  return files->SyncFolder(run_folder);
}

}  // namespace

RestartUndo::RestartUndo(FileSystem* files, std::string run_folder, std::string put_aside)
    : files_(files), run_folder_(std::move(run_folder)), put_aside_(std::move(put_aside)) {}

RestartUndo::~RestartUndo() {
  if (put_aside_.empty()) return;
  if (const absl::Status status = MoveBack(files_, run_folder_, put_aside_); !status.ok()) {
    LogError(absl::StrCat("the earlier checkpoints stay in ", put_aside_, ": ", status.message()));
  } else {
    LogInfo(absl::StrCat("the new run did not begin; the earlier checkpoints are in ", CheckpointsOf(run_folder_),
                         " again"));
  }
}

}  // namespace arcshard::coordinator
