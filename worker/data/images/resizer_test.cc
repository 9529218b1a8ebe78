#include "worker/data/images/resizer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/data/testing/test_images.h"

namespace arcshard::worker {
namespace {

using ::testing::Each;

// A target pixel by its definition, in double: source pixels are weighted by a triangle as wide as a target pixel, and
// at least one source pixel wide.
double ReferencePixel(const Image& from, int side, int x, int y, int channel) {
  const auto weight = [&](int size, int target, int source) {
    const double scale = static_cast<double>(size) / side;
    return std::max(0.0, 1 - std::abs(source + 0.5 - (target + 0.5) * scale) / std::max(1.0, scale));
  };
  double sum = 0, weights = 0;
  for (int v = 0; v < from.height; ++v) {
    for (int u = 0; u < from.width; ++u) {
      const double w = weight(from.width, x, u) * weight(from.height, y, v);
      sum += w * from.row(v)[3 * u + channel];
      weights += w;
    }
  }
  return sum / weights;
}

TEST(ResizerTest, EveryPixelIsTheWeightedMeanOfItsFootprint) {
  Resizer resizer;
  Image resized;
  for (const auto& [width, height, side] : {std::array{20, 31, 9}, {7, 5, 16}, {12, 40, 12}, {3, 1, 4}, {64, 64, 1}}) {
    const Image image = PatternImage(width, height, 5);
    resizer.Resize(image, side, &resized);
    ASSERT_EQ(resized.pixels.size(), size_t{3} * side * side);
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < side; ++x) {
        // Each of the two passes rounds by at most one half.
        for (int c = 0; c < 3; ++c) EXPECT_NEAR(resized.row(y)[3 * x + c], ReferencePixel(image, side, x, y, c), 1.01);
      }
    }
  }
}

TEST(ResizerTest, OneColourStaysThatColour) {
  Image image;
  image.Resize(37, 23);
  std::fill(image.pixels.begin(), image.pixels.end(), 255);
  Resizer resizer;
  Image resized;
  for (const int side : {5, 32, 112}) {
    resizer.Resize(image, side, &resized);
    EXPECT_THAT(resized.pixels, Each(255));
  }
}

}  // namespace
}  // namespace arcshard::worker
