#pragma once

#include <cstdint>

#include "worker/data/images/image.h"
#include "worker/data/images/normalization.h"

namespace arcshard::worker {

// How training images are augmented. With all of them zero they stay as they are.
struct AugmentOptions {
  bool flip = false;          // mirrors half of the images left to right
  double rotate_degrees = 0;  // rotation about the center, uniform within ±
  double translate = 0;       // shift in x and in y as a share of the side, uniform within ±
  double scale = 0;           // relative change of size, uniform within ±; below 1
};

// How one image is augmented: target pixel (x, y) gets the value of source point (xx·x + xy·y + x0, yx·x + yy·y + y0),
// both measured from the image's center.
struct Augmentation {
  bool flip_only = true;  // pixels are copied, not interpolated; the map is not used
  bool flip = false;
  float xx = 1, xy = 0, x0 = 0;
  float yx = 0, yy = 1, y0 = 0;
};

// Draws by Philox from (seed, epoch, sample). side: of the image, in pixels.
Augmentation DrawAugmentation(const AugmentOptions& options, uint64_t seed, uint64_t epoch, int64_t sample, int side);

// Writes the normalised channels of the augmented image to `planes` (3 × side × side). Interpolation is bilinear;
// beyond the image's border the border's pixels are repeated.
void RenderAugmented(const Image& image, const Augmentation& augmentation, const Normalization& normalization,
                     float* planes);

}  // namespace arcshard::worker
