#include "worker/data/images/image_reader.h"

#include "gtest/gtest.h"
#include "worker/data/testing/test_images.h"

namespace arcshard::worker {
namespace {

TEST(ImageReaderTest, ResizesOnlyWhatHasAnotherSize) {
  ImageReader reader;
  const Image* image = nullptr;
  const Image pattern = PatternImage(16, 16, 1);
  ASSERT_TRUE(reader.Read(EncodePng(pattern), 16, &image).ok());
  EXPECT_EQ(image->pixels, pattern.pixels);
  ASSERT_TRUE(reader.Read(EncodePng(pattern), 8, &image).ok());
  EXPECT_EQ(image->width, 8);
  ASSERT_TRUE(reader.Read(EncodePng(PatternImage(16, 12, 1)), 16, &image).ok());
  EXPECT_EQ(image->height, 16);
  EXPECT_FALSE(reader.Read("neither", 16, &image).ok());
}

}  // namespace
}  // namespace arcshard::worker
