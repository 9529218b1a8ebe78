#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "worker/data/images/image.h"

namespace arcshard::worker {

// Larger images are not decoded: they are no training images, and a few bytes of a header can claim any size.
constexpr int kMaxImageSide = 8192;
constexpr int64_t kMaxImagePixels = int64_t{1} << 24;

// What decoding noticed in an image that has all of its pixels.
struct DecodeNotes {
  bool no_end_marker = false;  // the file ends behind its last pixel; cameras and cut-off downloads leave such
};

// Decodes JPEG or PNG, recognised by their first bytes, into `image`, whose memory is reused. Grey becomes R = G = B,
// CMYK and YCCK become RGB as Pillow and OpenCV convert them, 16 bits become 8, alpha is dropped, and an orientation in
// EXIF data is ignored. DataLoss: another format, an image that lacks pixels or is damaged, or one above the limits.
// `notes`: if given, is set for an image that was decoded. Thread-safe.
absl::Status DecodeImage(absl::string_view encoded, Image* image, DecodeNotes* notes = nullptr);

// Whether `encoded` begins as a PNG file does. Otherwise an image that DecodeImage accepts is a JPEG.
bool IsPng(absl::string_view encoded);

// DecodeImage for each of the two formats.
absl::Status DecodeJpeg(absl::string_view encoded, Image* image, DecodeNotes* notes = nullptr);
absl::Status DecodePng(absl::string_view encoded, Image* image, DecodeNotes* notes = nullptr);

// DataLoss, with the figures, when width × height is beyond the limits.
absl::Status CheckImageSize(int64_t width, int64_t height);

}  // namespace arcshard::worker
