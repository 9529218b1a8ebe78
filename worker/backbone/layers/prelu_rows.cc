#include "worker/backbone/layers/prelu_rows.h"

#include <algorithm>
#include <vector>

#include "common/base/vectorised.h"

namespace arcshard::worker {
namespace {

// A sum over so many rows is computed in float32; these are added in float64.
constexpr int64_t kRows = 64;

ARCSHARD_INLINED void BackwardOfSomeRows(const PReluShape& shape, const PReluGradients& inputs, float* __restrict dx,
                                         float* __restrict sums) {
  const float* __restrict gradient = inputs.gradient;
  const float* __restrict x = inputs.x;
  const float* __restrict slope = inputs.slope;
  const int64_t channels = shape.channels;
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      const float factor = x[c] > 0.0f ? 1.0f : slope[c];
      const float negative = x[c] > 0.0f ? 0.0f : x[c];
      dx[c] = gradient[c] * factor;
      sums[c] += gradient[c] * negative;
    }
    gradient += channels, x += channels, dx += channels;
  }
}

}  // namespace

ARCSHARD_VECTORISED
void PReluOfRows(const PReluShape& shape, const float* __restrict x, const float* __restrict slope,
                 float* __restrict y) {
  const int64_t channels = shape.channels;
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t c = 0; c < channels; ++c) y[c] = x[c] * (x[c] > 0.0f ? 1.0f : slope[c]);
    x += channels, y += channels;
  }
}

ARCSHARD_VECTORISED
void PReluBackwardOfRows(const PReluShape& shape, const PReluGradients& inputs, float* dx, double* d_slope) {
  const int64_t channels = shape.channels;
  std::vector<float> sums(static_cast<size_t>(channels));
  for (int64_t row = 0; row < shape.rows; row += kRows) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    const int64_t offset = row * channels;
    BackwardOfSomeRows({std::min(kRows, shape.rows - row), channels},
                       {inputs.gradient + offset, inputs.x + offset, inputs.slope}, dx + offset, sums.data());
    for (int64_t c = 0; c < channels; ++c) d_slope[c] += sums[static_cast<size_t>(c)];
  }
}

}  // namespace arcshard::worker
