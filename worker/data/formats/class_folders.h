#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "worker/data/formats/image_files.h"

namespace arcshard::worker {

// Reads a folder that has one folder of images for each class. Labels 0, 1, 2, ... follow the order of the folders'
// names; samples are ordered by label and then by name. A folder without images is a class without images. Warnings
// name pictures of other formats, beside the folders and within folders of theirs.
//
// `classes`: N as configured; 0: as many as there are folders. NotFound: there is no such folder. FailedPrecondition:
// `folder` is not a folder. InvalidArgument: there are no images, or more classes than configured.
absl::StatusOr<ImageFiles> FindClassFolders(const std::string& folder, int64_t classes);

}  // namespace arcshard::worker
