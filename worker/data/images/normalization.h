#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/data/images/image.h"

namespace arcshard::worker {

// A channel's value v becomes (v - mean) / std.
struct Normalization {
  float mean = 127.5f;
  float std = 127.5f;

  // The same as v·factor() + offset(), which costs no division for each pixel.
  float factor() const { return 1 / std; }
  float offset() const { return -mean * factor(); }
};

// Writes the normalised channels R, G and B to `planes` (3 × height × width).
inline void NormalizeImage(const Image& image, const Normalization& normalization, float* planes) {
  const size_t plane = size_t(image.width) * image.height;
  const float factor = normalization.factor(), offset = normalization.offset();
  const uint8_t* in = image.pixels.data();
  for (size_t i = 0; i < plane; ++i, in += 3) {
    for (int c = 0; c < 3; ++c) planes[c * plane + i] = in[c] * factor + offset;
  }
}

}  // namespace arcshard::worker
