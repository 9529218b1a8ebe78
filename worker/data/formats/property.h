#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace arcshard::worker {

// The file `property` of InsightFace's layout and of the seed's: one line, "classes,height,width".

// N. NotFound: there is no such file. InvalidArgument: it says something else, or fewer than one class.
absl::StatusOr<int64_t> ReadProperty(const std::string& path);

std::string PropertyText(int64_t classes, int height, int width);

}  // namespace arcshard::worker
