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

// Where checkpoints lie, and which stay:
//
//   RUN/checkpoints/step-00000017.2/         of step 17, written in incarnation 2 of the coordinator
//     class_centers-0-482.safetensors        a shard's rows and moments
//     backbone.safetensors                   as model/backbone.safetensors: InsightFace's names
//     optimizer.safetensors                  the backbone's moments, the loss's running averages
//     manifest.json                          last: without it the folder is no checkpoint
//
// No incarnation writes into the folder of another, so a process that should be dead cannot damage what is complete.
namespace arcshard {

struct CheckpointId {
  uint64_t step = 0;
  uint64_t incarnation = 0;
  friend auto operator<=>(const CheckpointId&, const CheckpointId&) = default;  // the newest is the largest
};

std::string CheckpointsOf(absl::string_view run_folder);                             // RUN/checkpoints
std::string CheckpointFolder(absl::string_view run_folder, const CheckpointId& id);  // RUN/checkpoints/step-00000017.2
inline constexpr absl::string_view kManifestName = "manifest.json";

// Folders of RUN/checkpoints that have a manifest, good or not, newest first. Empty: none, or no such folder.
absl::StatusOr<std::vector<CheckpointId>> ListCheckpoints(FileSystem* files, const std::string& run_folder);

// Makes the checkpoint complete: checks that `manifest.files` lie in the folder in their sizes, then writes
// manifest.json. NotFound, DataLoss: a file is missing here or is of another size (is run.folder the same disk for all
// processes?). InvalidArgument: the manifest cannot be one: no such name, a file twice, as many CRCs as it has no
// blocks. AlreadyExists: there is one. Else as AtomicFile; then no manifest is there.
absl::Status WriteManifest(FileSystem* files, const std::string& folder, const Manifest& manifest);

// Deletes a checkpoint, its manifest first (and durably), so that a crash in between leaves none that looks complete.
// OK too where there is no such folder.
absl::Status RemoveCheckpoint(FileSystem* files, const std::string& folder);

struct Retention {
  uint32_t keep_last = 3;   // at least 1
  uint64_t keep_every = 0;  // steps that this divides; 0: none beyond the last
};

// Which of `complete` (newest first) go: never the newest.
std::vector<CheckpointId> Superseded(const std::vector<CheckpointId>& complete, const Retention& retention);

// At the start of a coordinator, before its run writes: removes folders without a manifest, and temporary files. Says
// what it removed. A folder that a process of an earlier incarnation still writes to may stay until the next start.
absl::StatusOr<std::vector<std::string>> CleanUp(FileSystem* files, const std::string& run_folder);

}  // namespace arcshard
