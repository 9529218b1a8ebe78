#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "worker/data/images/image_files.h"

namespace arcshard::worker {

// A folder with one folder for each class, which holds that class's images: labels 0, 1, 2, ... in the order of the
// classes' names, samples by label and then by name. A folder without images is a class without images.
//
// `classes`: N as configured; 0: as many as there are. NotFound, FailedPrecondition: there is no such folder.
// InvalidArgument: no images where they should be, or more classes than configured.
absl::StatusOr<ImageFiles> FindClassFolders(const std::string& folder, int64_t classes);

}  // namespace arcshard::worker
