#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/data/formats/unread_pictures.h"

namespace arcshard::worker {

// The names of the folders and of the images in a folder, sorted by their bytes, without names that begin with a dot.
// NotFound: there is no such folder. FailedPrecondition: it is not a folder. PermissionDenied and others as in
// common/io. `unread`: if given, gets the pictures of other formats and those in the folders within it.
absl::StatusOr<std::vector<std::string>> FoldersIn(const std::string& folder);
absl::StatusOr<std::vector<std::string>> ImagesIn(const std::string& folder, UnreadPictures* unread = nullptr);

// Whether a name ends in .jpg, .jpeg, .jpe, .jfif or .png; the case does not matter.
bool HasImageName(absl::string_view name);

// The suffix of a path's last name in lower case and without the dot; empty: it has none.
std::string SuffixOf(absl::string_view path);

}  // namespace arcshard::worker
