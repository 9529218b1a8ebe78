#pragma once

#include <cstdint>

#include "worker/data/images/image.h"

namespace arcshard::worker {

// What may be done to a training image. All zero: nothing.
struct AugmentOptions {
  bool flip = false;          // mirror half of the images left to right
  double rotate_degrees = 0;  // uniform within ±, about the center
  double translate = 0;       // share of the side, uniform within ±, for x and y
  double scale = 0;           // relative, uniform within ±; below 1
};

// What is done to one: target pixel (x, y), measured from the image's center, shows what source point
// (xx·x + xy·y + x0, yx·x + yy·y + y0) shows.
struct Augmentation {
  bool flip_only = true;  // no jitter: pixels are copied, not interpolated
  bool flip = false;
  float xx = 1, xy = 0, x0 = 0;
  float yx = 0, yy = 1, y0 = 0;
};

// Drawn by Philox from (seed, epoch, sample) alone. `side` in pixels.
Augmentation DrawAugmentation(const AugmentOptions& options, uint64_t seed, uint64_t epoch, int64_t sample, int side);

// `planes` (3 × side × side) gets the normalised channels of the augmented image. Bilinear; beyond its border the image
// goes on with the border's pixels.
void RenderAugmented(const Image& image, const Augmentation& augmentation, const Normalization& normalization,
                     float* planes);

}  // namespace arcshard::worker
