#include "worker/data/augment.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;

constexpr Normalization kPlain = {.mean = 0, .std = 1};

// The red channel of the rendered image.
std::vector<float> Red(const Image& image, const Augmentation& augmentation) {
  std::vector<float> planes(size_t{3} * image.width * image.height);
  RenderAugmented(image, augmentation, kPlain, planes.data());
  planes.resize(planes.size() / 3);
  return planes;
}

Image RedImage(int side, const std::vector<uint8_t>& red) {
  Image image;
  image.Resize(side, side);
  for (size_t i = 0; i < red.size(); ++i) image.pixels[3 * i] = red[i];
  return image;
}

TEST(AugmentTest, WithoutOptionsNothingHappens) {
  const Augmentation none = DrawAugmentation({}, 1, 2, 3, 8);
  EXPECT_TRUE(none.flip_only);
  EXPECT_FALSE(none.flip);
  EXPECT_THAT(Red(RedImage(2, {1, 2, 3, 4}), none), ElementsAre(1, 2, 3, 4));
}

TEST(AugmentTest, FlipMirrorsLeftToRight) {
  Augmentation flip;
  flip.flip = true;
  EXPECT_THAT(Red(RedImage(2, {1, 2, 3, 4}), flip), ElementsAre(2, 1, 4, 3));
  EXPECT_THAT(Red(RedImage(3, {1, 2, 3, 4, 5, 6, 7, 8, 9}), flip), ElementsAre(3, 2, 1, 6, 5, 4, 9, 8, 7));
}

TEST(AugmentTest, AllChannelsAreNormalisedInPlanes) {
  Image image;
  image.Resize(1, 1);
  image.pixels = {10, 20, 30};
  Augmentation jitter;
  jitter.flip_only = false;
  float planes[3];
  RenderAugmented(image, jitter, {.mean = 10, .std = 10}, planes);
  EXPECT_THAT(planes, ElementsAre(0, 1, 2));
}

TEST(AugmentTest, AShiftInterpolatesAndRepeatsTheBorder) {
  Augmentation shift;
  shift.flip_only = false;
  shift.x0 = 0.5f;
  EXPECT_THAT(Red(RedImage(2, {10, 20, 30, 40}), shift), ElementsAre(15, 20, 35, 40));
  shift.x0 = 0;
  shift.y0 = -100;
  EXPECT_THAT(Red(RedImage(2, {10, 20, 30, 40}), shift), ElementsAre(10, 20, 10, 20));
}

TEST(AugmentTest, AQuarterTurnMovesTheCornersOn) {
  // Searches for a seed and a sample whose rotation is nearly +90°, and checks the map that is drawn for them.
  const AugmentOptions options = {.rotate_degrees = 90};
  for (int64_t sample = 0; sample < 10000; ++sample) {
    const Augmentation turn = DrawAugmentation(options, 1, 0, sample, 3);
    if (turn.yx > -0.9999f) continue;
    // With y pointing down, the image is turned clockwise: its left side is at the top now.
    const std::vector<float> red = Red(RedImage(3, {1, 2, 3, 4, 5, 6, 7, 8, 9}), turn);
    const std::vector<float> expected = {7, 4, 1, 8, 5, 2, 9, 6, 3};
    for (size_t i = 0; i < red.size(); ++i) EXPECT_NEAR(red[i], expected[i], 0.2);
    return;
  }
  FAIL() << "no quarter turn among 10000";
}

TEST(AugmentTest, DrawsDependOnSeedEpochAndSampleAlone) {
  const AugmentOptions options = {.flip = true, .rotate_degrees = 10, .translate = 0.1, .scale = 0.1};
  const auto draw = [&](uint64_t seed, uint64_t epoch, int64_t sample) {
    const Augmentation a = DrawAugmentation(options, seed, epoch, sample, 32);
    return std::vector<float>{a.xx, a.xy, a.x0, a.yx, a.yy, a.y0};
  };
  EXPECT_EQ(draw(1, 2, 3), draw(1, 2, 3));
  EXPECT_NE(draw(1, 2, 3), draw(2, 2, 3));
  EXPECT_NE(draw(1, 2, 3), draw(1, 3, 3));
  EXPECT_NE(draw(1, 2, 3), draw(1, 2, 4));
}

TEST(AugmentTest, DrawsFillTheirRangesAndStayInside) {
  const AugmentOptions options = {.flip = true, .rotate_degrees = 30, .translate = 0.25, .scale = 0.5};
  constexpr int kDraws = 4000;
  int flips = 0;
  double least_scale = 9, most_scale = 0, least_angle = 9, most_angle = -9, least_shift = 99, most_shift = -99,
         shift_sum = 0;
  for (int64_t sample = 0; sample < kDraws; ++sample) {
    const Augmentation a = DrawAugmentation(options, 5, 1, sample, 100);
    flips += a.flip;
    const double scale = 1 / std::hypot(a.yx, a.yy);
    const double angle = std::atan2(-a.yx, a.yy) * 180 / std::acos(-1.0);
    // The map sends the shift to the center, so the shift is found by solving it.
    const double determinant = a.xx * a.yy - a.xy * a.yx;
    const double dx = -(a.yy * a.x0 - a.xy * a.y0) / determinant, dy = -(a.xx * a.y0 - a.yx * a.x0) / determinant;
    EXPECT_EQ(determinant < 0, a.flip);
    least_scale = std::min(least_scale, scale);
    most_scale = std::max(most_scale, scale);
    least_angle = std::min(least_angle, angle);
    most_angle = std::max(most_angle, angle);
    least_shift = std::min({least_shift, dx, dy});
    most_shift = std::max({most_shift, dx, dy});
    shift_sum += dx + dy;
  }
  EXPECT_NEAR(flips, kDraws / 2, 6 * std::sqrt(kDraws / 4.0));
  EXPECT_NEAR(least_scale, 0.5, 0.01);
  EXPECT_NEAR(most_scale, 1.5, 0.01);
  EXPECT_NEAR(least_angle, -30, 0.3);
  EXPECT_NEAR(most_angle, 30, 0.3);
  EXPECT_NEAR(least_shift, -25, 0.1);
  EXPECT_NEAR(most_shift, 25, 0.1);
  EXPECT_NEAR(shift_sum / (2 * kDraws), 0, 6 * 25 / std::sqrt(3.0 * 2 * kDraws));
}

}  // namespace
}  // namespace arcshard::worker
