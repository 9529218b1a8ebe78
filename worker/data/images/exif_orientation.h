#pragma once

#include "absl/strings/string_view.h"

namespace arcshard::worker {

// The orientation that the EXIF data of a JPEG or PNG announce: 1 to 8, where 1 means upright; 1 also if the image has
// none or they are damaged. arcshard ignores it as Pillow does and uses the pixels as they are stored; OpenCV turns
// them.
int ExifOrientation(absl::string_view encoded);

}  // namespace arcshard::worker
