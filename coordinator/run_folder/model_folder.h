#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/class_range.h"
#include "common/io/file_system.h"

namespace arcshard::coordinator {

// Call it after a run over `ranges` has written its model. Deletes the class_centers-<begin>-<end>.safetensors of other
// ranges in <run_folder>/model, which an earlier life with other shards has left there, and what a process that was
// killed has left unfinished, so that the folder holds one model. Deletes nothing unless the files of all `ranges`
// exist (empty ranges have none). Returns the deleted paths.
absl::StatusOr<std::vector<std::string>> DeleteOtherRanges(FileSystem* files, const std::string& run_folder,
                                                           const std::vector<ClassRange>& ranges);

}  // namespace arcshard::coordinator
