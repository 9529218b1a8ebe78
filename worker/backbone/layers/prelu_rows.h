#pragma once

#include <cstdint>

// PReLU on float32 rows of C channels, as a channels-last activation has them: B·H·W of them, one after the other. With
// C = 16 ATen's element-wise operations, which find the slope of each channel by strides, take several times as long.
namespace arcshard::worker {

struct PReluShape {
  int64_t rows = 0;
  int64_t channels = 0;  // C
};

// y <- x where x > 0, else slope·x. slope: C.
void PReluOfRows(const PReluShape& shape, const float* x, const float* slope, float* y);

// dx <- gradient where x > 0, else slope·gradient; d_slope (C) <- d_slope + the sums of gradient·x where x <= 0.
struct PReluGradients {
  const float* gradient = nullptr;  // with respect to y
  const float* x = nullptr;
  const float* slope = nullptr;  // C
};
void PReluBackwardOfRows(const PReluShape& shape, const PReluGradients& inputs, float* dx, double* d_slope);

}  // namespace arcshard::worker
