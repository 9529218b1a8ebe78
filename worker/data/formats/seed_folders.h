#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/data/images/image_files.h"

namespace arcshard::worker {

// The layout of the seed, the d2l chapter on model-parallel ArcFace: a folder with `property` ("classes,height,width")
// and the folders 00000000, 00000001, ..., each with the images of the class of that number. A number that is left out
// is a class without images. Samples by label and then by name; other folders are passed over.
//
// `classes`: N as configured; 0: as property says. NotFound: there is no such folder or no property.
// FailedPrecondition: `folder` is no folder. InvalidArgument: property makes no sense, a folder's number is not below
// N, or there are no images.
absl::StatusOr<ImageFiles> FindSeedFolders(const std::string& folder, int64_t classes);

// "00000017", and back; -1: that is no such name.
std::string SeedFolderName(int64_t label);
int64_t SeedFolderLabel(absl::string_view name);

}  // namespace arcshard::worker
