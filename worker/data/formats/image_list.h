#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "worker/data/formats/image_files.h"

namespace arcshard::worker {

// Reads a list as PaddlePaddle's PLSC uses it: a text file with a line "path label" for each sample. Blanks or tabs
// separate the two; the label follows the last of them, so a path may contain blanks. Empty lines are skipped.
//
// `root`: the folder that relative paths start from; empty: the list's own. `classes`: N as configured; 0: the largest
// label + 1. NotFound: there is no such file. FailedPrecondition: it is a folder. InvalidArgument: a line, which the
// message names by its number, has no label, or one that is not a whole number from 0 to N - 1; or there are no lines.
absl::StatusOr<ImageFiles> ReadImageList(const std::string& path, const std::string& root, int64_t classes);

}  // namespace arcshard::worker
