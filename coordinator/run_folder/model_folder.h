#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/class_range.h"
#include "common/io/file_system.h"

namespace arcshard::coordinator {

// After a run over `ranges` has left its model: deletes class_centers-<begin>-<end>.safetensors of other ranges in
// <run_folder>/model, which an earlier life over another number of shards has left, so that what lies there is one
// model. Nothing is deleted unless all of `ranges` are there (empty ones have no file). Returns what was deleted.
absl::StatusOr<std::vector<std::string>> DeleteOtherRanges(FileSystem* files, const std::string& run_folder,
                                                           const std::vector<ClassRange>& ranges);

}  // namespace arcshard::coordinator
