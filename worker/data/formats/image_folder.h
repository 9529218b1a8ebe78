#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace arcshard::worker {

// What lies in a folder, by name, in the order of the names' bytes; what begins with a dot is passed over. NotFound,
// FailedPrecondition (no folder), PermissionDenied, ... as of common/io.
absl::StatusOr<std::vector<std::string>> FoldersIn(const std::string& folder);
absl::StatusOr<std::vector<std::string>> ImagesIn(const std::string& folder);

// Whether a name ends in .jpg, .jpeg or .png, in capitals or not.
bool HasImageName(absl::string_view name);

}  // namespace arcshard::worker
