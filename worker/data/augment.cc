#include "worker/data/augment.h"

#include <algorithm>
#include <cmath>

#include "common/base/philox.h"
#include "worker/data/random_stream.h"

namespace arcshard::worker {
namespace {

// Uniform in [-1, 1).
double Symmetric(uint32_t word) { return 2.0 * UniformFromWord(word) - 1.0; }

void RenderFlipped(const Image& image, const Normalization& normalization, float* planes) {
  const int side = image.width;
  const size_t plane = size_t(side) * image.height;
  const float factor = normalization.factor(), offset = normalization.offset();
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* in = image.row(y) + 3 * (side - 1);
    for (int x = 0; x < side; ++x, in -= 3) {
      for (int c = 0; c < 3; ++c) planes[c * plane + size_t(y) * side + x] = in[c] * factor + offset;
    }
  }
}

}  // namespace

Augmentation DrawAugmentation(const AugmentOptions& options, uint64_t seed, uint64_t epoch, int64_t sample, int side) {
  // Five numbers take two draws of four words each; bit 63 of the counter distinguishes the draws.
  const uint64_t key = StreamKey(seed, RandomStream::kAugmentation);
  const auto first = Philox(key, epoch, static_cast<uint64_t>(sample));
  const auto second = Philox(key, epoch | uint64_t{1} << 63, static_cast<uint64_t>(sample));
  Augmentation result;
  result.flip = options.flip && (first[0] >> 31) != 0;
  if (options.rotate_degrees == 0 && options.translate == 0 && options.scale == 0) return result;

  const double angle = options.rotate_degrees * Symmetric(first[1]) * (std::acos(-1.0) / 180);
  const double zoom = 1 / (1 + options.scale * Symmetric(first[2]));
  const double dx = options.translate * side * Symmetric(first[3]);
  const double dy = options.translate * side * Symmetric(second[0]);
  const double mirror = result.flip ? -1 : 1;
  // The inverse of these, in this order: mirror, rotate by `angle`, enlarge by 1/zoom, shift by (dx, dy).
  const double cosine = std::cos(angle) * zoom, sine = std::sin(angle) * zoom;
  result.flip_only = false;
  result.xx = static_cast<float>(mirror * cosine);
  result.xy = static_cast<float>(mirror * sine);
  result.x0 = static_cast<float>(-mirror * (cosine * dx + sine * dy));
  result.yx = static_cast<float>(-sine);
  result.yy = static_cast<float>(cosine);
  result.y0 = static_cast<float>(sine * dx - cosine * dy);
  return result;
}

void RenderAugmented(const Image& image, const Augmentation& augmentation, const Normalization& normalization,
                     float* planes) {
  if (augmentation.flip_only) {
    return augmentation.flip ? RenderFlipped(image, normalization, planes)
                             : NormalizeImage(image, normalization, planes);
  }
  const size_t plane = size_t(image.width) * image.height;
  const float factor = normalization.factor(), offset = normalization.offset();
  const float center_x = 0.5f * static_cast<float>(image.width - 1),
              center_y = 0.5f * static_cast<float>(image.height - 1);
  const float last_x = static_cast<float>(image.width - 1), last_y = static_cast<float>(image.height - 1);
  for (int y = 0; y < image.height; ++y) {
    const float to_y = static_cast<float>(y) - center_y;
    for (int x = 0; x < image.width; ++x) {
      const float to_x = static_cast<float>(x) - center_x;
      const Augmentation& a = augmentation;
      const float from_x = std::clamp(a.xx * to_x + a.xy * to_y + a.x0 + center_x, 0.0f, last_x);
      const float from_y = std::clamp(a.yx * to_x + a.yy * to_y + a.y0 + center_y, 0.0f, last_y);
      const int left = static_cast<int>(from_x), top = static_cast<int>(from_y);
      const float right_share = from_x - static_cast<float>(left), bottom_share = from_y - static_cast<float>(top);
      const int to_right = left + 1 < image.width ? 3 : 0;
      const uint8_t* upper = image.row(top) + 3 * left;
      const uint8_t* lower = image.row(std::min(top + 1, image.height - 1)) + 3 * left;
      for (int c = 0; c < 3; ++c) {
        const float above = upper[c] + right_share * static_cast<float>(upper[c + to_right] - upper[c]);
        const float below = lower[c] + right_share * static_cast<float>(lower[c + to_right] - lower[c]);
        planes[c * plane + size_t(y) * image.width + x] = (above + bottom_share * (below - above)) * factor + offset;
      }
    }
  }
}

}  // namespace arcshard::worker
