#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/io/file_system.h"

// What there is to say about checkpoints, as text for people.
namespace arcshard::cli {

// `arcshard checkpoint ls`: a line for each folder of RUN/checkpoints, newest first: complete, or what is wrong with
// it. Files are not read: verify does that. NotFound: no such run, or it has no checkpoint.
absl::StatusOr<std::string> ListOfCheckpoints(FileSystem* files, const std::string& run_folder);

// `arcshard checkpoint show`: what the manifest of a checkpoint (or of a run's newest) says. Errors as OpenCheckpoint.
absl::StatusOr<std::string> CheckpointText(FileSystem* files, const std::string& path);

// `arcshard checkpoint verify`: reads all of it; that it is sound. DataLoss with the name of the file that is not;
// else as OpenCheckpoint::Verify.
absl::StatusOr<std::string> VerifyCheckpoint(FileSystem* files, const std::string& path);

}  // namespace arcshard::cli
