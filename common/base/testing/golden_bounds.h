#pragma once

#include <cmath>
#include <cstdint>

namespace arcshard {

// How far results of bfloat16 products may be from those in float64. tests/data/golden/README.md derives the bounds.
struct Bfloat16Bounds {
  double lse = 0.0;        // absolute, of ln Σ exp(logit); also the relative bound of the sum itself
  double gradients = 0.0;  // relative to a tensor's largest value, for given derivatives of the loss
};

// For logits of scale `scale` between unit vectors of `dim` normally distributed values.
inline Bfloat16Bounds Bfloat16BoundsOf(double scale, int64_t dim) {
  const double logit = scale * 0x1p-8 / std::sqrt(static_cast<double>(dim));
  return {.lse = 4.0 * logit, .gradients = std::sqrt(2.0) * logit + 0x1p-7};
}

// How far a cosine to a class center of `dim` dimensions may be off in float32 because the center is not the
// reference's, but was made by `updates` updates; absolute. A logit by so much times the scale.
inline double CosToleranceOfUpdates(int64_t dim, int updates) {
  return updates * 5e-5 / std::sqrt(static_cast<double>(dim));
}

}  // namespace arcshard
