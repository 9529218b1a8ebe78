#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "worker/data/images/image_files.h"

namespace arcshard::worker {

// A list as PaddlePaddle's PLSC has it: a text file with a line "path label" for each sample, blanks or tabs between
// them; the label is what follows the last one, so a path may contain blanks. Empty lines are passed over.
//
// `root`: what relative paths count from; empty: the list's folder. `classes`: N as configured; 0: the largest label
// + 1. NotFound, FailedPrecondition (a folder): there is no such file. InvalidArgument, with the line's number: no
// label, one that is no number from 0 on, or one not below N; or there are no lines.
absl::StatusOr<ImageFiles> ReadImageList(const std::string& path, const std::string& root, int64_t classes);

}  // namespace arcshard::worker
