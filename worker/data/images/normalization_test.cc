#include "worker/data/images/normalization.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;

TEST(NormalizeImageTest, ChannelsBecomePlanes) {
  Image image;
  image.Resize(2, 1);
  image.pixels = {0, 10, 20, 30, 40, 50};
  float planes[6];
  NormalizeImage(image, {.mean = 10, .std = 5}, planes);
  EXPECT_THAT(planes, ElementsAre(-2, 4, 0, 6, 2, 8));
}

}  // namespace
}  // namespace arcshard::worker
