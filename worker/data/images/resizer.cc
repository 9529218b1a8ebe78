#include "worker/data/images/resizer.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace arcshard::worker {

void Resizer::SetTaps(int from_size, int to_size) {
  taps_.clear();
  weights_.clear();
  const double scale = static_cast<double>(from_size) / to_size;
  const double radius = std::max(scale, 1.0);  // the radius of the triangle, in source pixels
  for (int i = 0; i < to_size; ++i) {
    const double center = (i + 0.5) * scale;
    Taps taps;
    taps.first = std::max(0, static_cast<int>(center - radius + 0.5));
    taps.count = std::min(from_size, static_cast<int>(center + radius + 0.5)) - taps.first;
    taps.weights = static_cast<int>(weights_.size());
    double sum = 0;
    for (int k = 0; k < taps.count; ++k) sum += std::max(0.0, 1 - std::abs(taps.first + k + 0.5 - center) / radius);
    for (int k = 0; k < taps.count; ++k) {
      weights_.push_back(static_cast<float>(std::max(0.0, 1 - std::abs(taps.first + k + 0.5 - center) / radius) / sum));
    }
    taps_.push_back(taps);
  }
}

void Resizer::Resize(const Image& from, int side, Image* to) {
  assert(&from != to && side > 0 && from.width > 0 && from.height > 0);
  // Both passes round to 8 bits, as Pillow's do.
  const auto round = [](float value) { return static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f)); };

  SetTaps(from.width, side);
  narrow_.Resize(side, from.height);
  for (int y = 0; y < from.height; ++y) {
    uint8_t* out = narrow_.row(y);
    for (const Taps& taps : taps_) {
      const uint8_t* in = from.row(y) + 3 * taps.first;
      float sum[3] = {0, 0, 0};
      for (int k = 0; k < taps.count; ++k, in += 3) {
        const float weight = weights_[taps.weights + k];
        for (int c = 0; c < 3; ++c) sum[c] += weight * in[c];
      }
      for (int c = 0; c < 3; ++c) *out++ = round(sum[c]);
    }
  }

  SetTaps(from.height, side);
  to->Resize(side, side);
  for (int y = 0; y < side; ++y) {
    const Taps& taps = taps_[y];
    sums_.assign(size_t{3} * side, 0.0f);
    for (int k = 0; k < taps.count; ++k) {
      const uint8_t* in = narrow_.row(taps.first + k);
      const float weight = weights_[taps.weights + k];
      for (int x = 0; x < 3 * side; ++x) sums_[x] += weight * in[x];
    }
    std::transform(sums_.begin(), sums_.end(), to->row(y), round);
  }
}

}  // namespace arcshard::worker
