#pragma once

#include <string>
#include <vector>

#include "worker/data/images/image.h"
#include "worker/data/images/image_encode.h"

// Images for tests, and encoders for every kind of PNG and JPEG.
namespace arcshard::worker {

// An image whose colours differ from pixel to pixel in a fixed pattern; each `shade` gives another image.
Image PatternImage(int width, int height, int shade);

struct PngKind {
  int color_type = 2;  // PNG_COLOR_TYPE_*
  int bit_depth = 8;
  bool interlaced = false;
};
// `rows` as PNG stores them: samples of color_type, most significant bit and byte first.
std::string EncodePng(int width, int height, const PngKind& kind, const std::vector<std::string>& rows);

struct JpegKind {
  bool grey = false;
  bool progressive = false;
  bool cmyk = false;    // as it is, R, G, B, R; with Adobe's marker
  bool ycck = false;    // the same, converted
  int orientation = 0;  // EXIF data with this orientation, unless it is 0
};
std::string EncodeJpeg(const Image& image, const JpegKind& kind);

}  // namespace arcshard::worker
