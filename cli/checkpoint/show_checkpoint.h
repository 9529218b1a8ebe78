#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/io/file_system.h"

// Descriptions of checkpoints, as text for people.
namespace arcshard::cli {

// `arcshard checkpoint ls`: a line for each folder of RUN/checkpoints, newest first: complete, or what is wrong with
// it. Does not read the files; verify does that. NotFound: the run does not exist or has no checkpoint.
absl::StatusOr<std::string> ListOfCheckpoints(FileSystem* files, const std::string& run_folder);

// `arcshard checkpoint show`: the manifest of a checkpoint, or of a run's newest one. Errors as OpenCheckpoint.
absl::StatusOr<std::string> CheckpointText(FileSystem* files, const std::string& path);

// `arcshard checkpoint verify`: reads and checks all files of a checkpoint. DataLoss names a damaged file; other errors
// are those of OpenCheckpoint::Verify.
absl::StatusOr<std::string> VerifyCheckpoint(FileSystem* files, const std::string& path);

}  // namespace arcshard::cli
