#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace arcshard::worker {

// The names of the folders and of the images in a folder, sorted by their bytes, without names that begin with a dot.
// NotFound: there is no such folder. FailedPrecondition: it is not a folder. PermissionDenied and others as in
// common/io.
absl::StatusOr<std::vector<std::string>> FoldersIn(const std::string& folder);
absl::StatusOr<std::vector<std::string>> ImagesIn(const std::string& folder);

// Whether a name ends in .jpg, .jpeg or .png; the case does not matter.
bool HasImageName(absl::string_view name);

}  // namespace arcshard::worker
