#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace arcshard::worker {

// What `encoded` is, told by its first bytes and only if it is neither JPEG nor PNG: the name of another image format
// ("WebP"), or what else is often found in place of an image ("an HTML page"). Empty: it is none of those.
absl::string_view NameOfOtherFormat(absl::string_view encoded);

// Whether the suffix of a file's name, in lower case and without the dot, is that of the images that are read (jpg,
// jpeg, jpe, jfif and png), or of images in formats that are not read (webp, bmp, ...).
bool IsImageSuffix(absl::string_view suffix);
bool IsOtherImageSuffix(absl::string_view suffix);

// The suffixes that are read, for messages: ".jpg, .jpeg or .png".
std::string ImageSuffixes();

}  // namespace arcshard::worker
