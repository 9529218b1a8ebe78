#include "worker/data/images/exif_orientation.h"

#include <string>

#include "gtest/gtest.h"
#include "worker/data/images/image_encode.h"
#include "worker/data/testing/test_images.h"

namespace arcshard::worker {
namespace {

std::string Jpeg(int orientation) { return EncodeJpeg(PatternImage(8, 8, 1), {.orientation = orientation}); }

TEST(ExifOrientationTest, IsWhatTheFirstDirectorySays) {
  EXPECT_EQ(ExifOrientation(Jpeg(0)), 1) << "no EXIF data";
  EXPECT_EQ(ExifOrientation(Jpeg(1)), 1);
  EXPECT_EQ(ExifOrientation(Jpeg(6)), 6);
  EXPECT_EQ(ExifOrientation(Jpeg(9)), 1) << "there is no such orientation";
}

TEST(ExifOrientationTest, OfAPngIsInAChunkOfItsOwn) {
  const std::string png = EncodePng(PatternImage(8, 8, 1));
  EXPECT_EQ(ExifOrientation(png), 1);
  const std::string exif(
      "\0\0\0\x1a"
      "eXIf"
      "II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x03\0\0\0\0\0\0\0"
      "....",
      38);
  constexpr size_t kHeader = 33;  // signature and IHDR
  EXPECT_EQ(ExifOrientation(png.substr(0, kHeader) + exif + png.substr(kHeader)), 3);
}

TEST(ExifOrientationTest, OfBytesCutOffOrDamagedAnywhereIsAnOrientation) {
  const std::string whole = Jpeg(6);
  for (size_t i = 0; i < 60; ++i) {
    EXPECT_GE(ExifOrientation(whole.substr(0, i)), 1);
    std::string damaged = whole;
    damaged[i] = static_cast<char>(~damaged[i]);
    EXPECT_GE(ExifOrientation(damaged), 1);
    EXPECT_LE(ExifOrientation(damaged), 8);
  }
}

}  // namespace
}  // namespace arcshard::worker
