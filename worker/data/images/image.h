#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace arcshard::worker {

// An 8-bit RGB image, rows from the top, (height × width × 3).
struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> pixels;

  const uint8_t* row(int y) const { return pixels.data() + size_t{3} * width * y; }
  uint8_t* row(int y) { return pixels.data() + size_t{3} * width * y; }
  void Resize(int new_width, int new_height) {
    width = new_width;
    height = new_height;
    pixels.resize(size_t{3} * width * height);
  }
};

// An image of more pixels is not decoded: it is no training image, and a few bytes could claim any size.
constexpr int kMaxImageSide = 8192;
constexpr int64_t kMaxImagePixels = int64_t{1} << 24;

// (pixel - mean) / std
struct Normalization {
  float mean = 127.5f;
  float std = 127.5f;
};

// Decodes JPEG or PNG, told apart by their first bytes, into `image`, whose memory is reused. Grey becomes R = G = B,
// 16 bits become 8, alpha is dropped. DataLoss: anything else, an image cut off or damaged, or one above the limits.
// Thread-safe.
absl::Status DecodeImage(absl::string_view encoded, Image* image);

// Bilinear, and over the whole footprint of a target pixel where the image shrinks: Pillow's
// Image.resize(BILINEAR), but for ties in rounding.
class Resizer {
 public:
  // `to` gets side × side pixels. `from` and `to` may not be the same image.
  void Resize(const Image& from, int side, Image* to);

 private:
  // The source pixels of target pixel i and their weights.
  struct Taps {
    int first = 0;
    int count = 0;
    int weights = 0;  // where they begin in weights_
  };
  void SetTaps(int from_size, int to_size);

  std::vector<Taps> taps_;
  std::vector<float> weights_;
  Image narrow_;             // after the horizontal pass
  std::vector<float> sums_;  // of a row
};

// Decodes, resizes where needed and keeps the buffers from image to image. One per thread.
class ImageReader {
 public:
  // The image at side × side pixels, valid until the next call. Errors as of DecodeImage.
  absl::Status Read(absl::string_view encoded, int side, const Image** image);

 private:
  Image decoded_;
  Image resized_;
  Resizer resizer_;
};

// `planes` (3 × height × width) gets the normalised channels R, G, B.
void NormalizeImage(const Image& image, const Normalization& normalization, float* planes);

// The two formats behind DecodeImage.
absl::Status DecodeJpeg(absl::string_view encoded, Image* image);
absl::Status DecodePng(absl::string_view encoded, Image* image);
// DataLoss, with the figures, when width × height is beyond the limits.
absl::Status CheckImageSize(int64_t width, int64_t height);

}  // namespace arcshard::worker
