#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/checkpoint/manifest.h"
#include "common/io/file_system.h"

// Where checkpoints are stored, and which are kept:
//
//   RUN/checkpoints/step-00000017.2/         after step 17, asked for in incarnation 2 of the coordinator
//     class_centers-0-482.safetensors        a shard's rows and moments
//     backbone.safetensors                   with InsightFace's names, like model/backbone.safetensors
//     optimizer.safetensors                  the backbone's moments, the loss's running averages
//     manifest.json                          written last: a folder without it is not a checkpoint
//
// One that was asked for in a later view than the incarnation's first has that view's number too:
// step-00000017.2.3. No view writes into the folder of another, so a process that should be dead cannot damage a
// complete checkpoint.
namespace arcshard {

struct CheckpointId {
  uint64_t step = 0;
  uint64_t incarnation = 0;
  uint64_t counter = 1;                                                         // of the view in which it was asked for
  friend auto operator<=>(const CheckpointId&, const CheckpointId&) = default;  // the newest is the largest
};

std::string CheckpointsOf(absl::string_view run_folder);                             // RUN/checkpoints
std::string CheckpointFolder(absl::string_view run_folder, const CheckpointId& id);  // RUN/checkpoints/step-00000017.2
inline constexpr absl::string_view kManifestName = "manifest.json";

// The folders in RUN/checkpoints that have a manifest, valid or not, newest first. Empty if there are none, or
// RUN/checkpoints does not exist.
absl::StatusOr<std::vector<CheckpointId>> ListCheckpoints(FileSystem* files, const std::string& run_folder);

// The folders in RUN/checkpoints without a manifest that nobody will complete: there is a complete checkpoint of the
// same or a later step that the same or a later view has asked for.
absl::StatusOr<std::vector<CheckpointId>> ListOvertaken(FileSystem* files, const std::string& run_folder);

// Makes the checkpoint complete: checks that all `manifest.files` are in the folder with their sizes, then writes
// manifest.json. NotFound, DataLoss: a file is missing here or has another size (is run.folder the same disk for all
// processes?). InvalidArgument: the manifest is not valid: a bad name, a repeated file, a wrong number of block CRCs.
// AlreadyExists: the folder has a manifest. Other errors are those of AtomicFile. After an error no manifest was added.
absl::Status WriteManifest(FileSystem* files, const std::string& folder, const Manifest& manifest);

// Deletes a checkpoint, first its manifest, durably, so that a crash in between leaves nothing that looks complete. OK
// also if there is no such folder.
absl::Status RemoveCheckpoint(FileSystem* files, const std::string& folder);

struct Retention {
  uint32_t keep_last = 3;   // at least 1
  uint64_t keep_every = 0;  // keeps all steps divisible by it too; 0: keeps no others
};

// Which of `complete` (newest first) to delete; never the newest.
std::vector<CheckpointId> Superseded(const std::vector<CheckpointId>& complete, const Retention& retention);

// Removes what killed processes have left: checkpoints' folders without a manifest, and the temporary files
// (AtomicFile) of checkpoints, of the model (RUN/model) and of the coordinator's own files in RUN. Returns what it
// removed. For the start of a coordinator, before its run writes. A folder to which a process of an earlier incarnation
// still writes may remain until the next start.
absl::StatusOr<std::vector<std::string>> CleanUp(FileSystem* files, const std::string& run_folder);

}  // namespace arcshard
