#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace arcshard::worker {

// The file `property` of InsightFace's layout and of the seed chapter's has one line, "classes,height,width".

// Returns N. NotFound: there is no such file. InvalidArgument: it has other content, fewer than one class, or more
// than a run may have.
absl::StatusOr<int64_t> ReadProperty(const std::string& path);

std::string PropertyText(int64_t classes, int height, int width);

}  // namespace arcshard::worker
