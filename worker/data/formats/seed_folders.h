#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/data/formats/image_files.h"

namespace arcshard::worker {

// Reads the layout of the seed, the d2l chapter on model-parallel ArcFace: a folder with `property`
// ("classes,height,width") and the folders 00000000, 00000001, ..., each with the images of the class of that number. A
// missing number is a class without images. Samples are ordered by label and then by name; other folders are ignored;
// warnings name the pictures that are not read.
//
// `classes`: N as configured; 0: the number in property. NotFound: there is no such folder or no property.
// FailedPrecondition: `folder` is not a folder. InvalidArgument: property is invalid, a folder's number is not below N,
// or there are no images.
absl::StatusOr<ImageFiles> FindSeedFolders(const std::string& folder, int64_t classes);

// 17 -> "00000017", and back; -1: the name is not of this form.
std::string SeedFolderName(int64_t label);
int64_t SeedFolderLabel(absl::string_view name);

}  // namespace arcshard::worker
