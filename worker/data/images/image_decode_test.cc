#include "worker/data/images/image_decode.h"

#include <png.h>

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/data/testing/test_images.h"

namespace arcshard::worker {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Le;

std::vector<int> Differences(const Image& a, const Image& b) {
  std::vector<int> result;
  for (size_t i = 0; i < a.pixels.size() && i < b.pixels.size(); ++i)
    result.push_back(std::abs(a.pixels[i] - b.pixels[i]));
  return result;
}

TEST(DecodeImageTest, PngOfEightBitRgbIsExact) {
  const Image image = PatternImage(13, 9, 1);
  Image decoded;
  ASSERT_TRUE(DecodeImage(EncodePng(image), &decoded).ok());
  EXPECT_EQ(decoded.width, 13);
  EXPECT_EQ(decoded.height, 9);
  EXPECT_EQ(decoded.pixels, image.pixels);
}

TEST(DecodeImageTest, PngOfEveryKindBecomesEightBitRgb) {
  Image decoded;
  const auto decode = [&](int width, const PngKind& kind, const std::string& row) {
    const absl::Status status = DecodeImage(EncodePng(width, 1, kind, {row}), &decoded);
    EXPECT_TRUE(status.ok()) << status;
    return decoded.pixels;
  };
  EXPECT_THAT(decode(2, {PNG_COLOR_TYPE_GRAY, 8}, "\x05\xfa"), ElementsAre(5, 5, 5, 250, 250, 250));
  EXPECT_THAT(decode(2, {PNG_COLOR_TYPE_GRAY, 1}, "\x40"), ElementsAre(0, 0, 0, 255, 255, 255));
  EXPECT_THAT(decode(2, {PNG_COLOR_TYPE_GRAY, 4}, "\x3f"), ElementsAre(51, 51, 51, 255, 255, 255));
  EXPECT_THAT(decode(1, {PNG_COLOR_TYPE_GRAY, 16}, "\x80\x10"), ElementsAre(128, 128, 128));
  EXPECT_THAT(decode(1, {PNG_COLOR_TYPE_RGB, 16}, std::string("\x01\x01\x02\x02\xff\xff", 6)), ElementsAre(1, 2, 255));
  EXPECT_THAT(decode(1, {PNG_COLOR_TYPE_RGB_ALPHA, 8}, std::string("\x0a\x0b\x0c\x00", 4)), ElementsAre(10, 11, 12));
  EXPECT_THAT(decode(1, {PNG_COLOR_TYPE_GRAY_ALPHA, 8}, std::string("\x0a\x00", 2)), ElementsAre(10, 10, 10));
  EXPECT_THAT(decode(3, {PNG_COLOR_TYPE_PALETTE, 2}, "\x34"), ElementsAre(10, 20, 30, 200, 210, 220, 40, 50, 60));
}

TEST(DecodeImageTest, InterlacedPngIsExact) {
  const Image image = PatternImage(19, 17, 2);
  std::vector<std::string> rows;
  for (int y = 0; y < image.height; ++y) rows.emplace_back(reinterpret_cast<const char*>(image.row(y)), 19 * 3);
  Image decoded;
  ASSERT_TRUE(DecodeImage(EncodePng(19, 17, {PNG_COLOR_TYPE_RGB, 8, true}, rows), &decoded).ok());
  EXPECT_EQ(decoded.pixels, image.pixels);
}

TEST(DecodeImageTest, JpegIsCloseBaselineAndProgressive) {
  Image image = PatternImage(40, 24, 0);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(50 + i % 120 + 20 * (i % 3));
  Image baseline, progressive;
  ASSERT_TRUE(DecodeImage(EncodeJpeg(image, {}), &baseline).ok());
  ASSERT_TRUE(DecodeImage(EncodeJpeg(image, {.progressive = true}), &progressive).ok());
  ASSERT_EQ(baseline.pixels.size(), image.pixels.size());
  EXPECT_THAT(Differences(baseline, image), Each(Le(6)));
  EXPECT_EQ(progressive.pixels, baseline.pixels);
}

TEST(DecodeImageTest, GreyJpegBecomesRgb) {
  const Image image = PatternImage(8, 8, 0);
  Image decoded;
  ASSERT_TRUE(DecodeImage(EncodeJpeg(image, {.grey = true}), &decoded).ok());
  ASSERT_EQ(decoded.pixels.size(), size_t{8 * 8 * 3});
  for (size_t i = 0; i < decoded.pixels.size(); i += 3) {
    EXPECT_EQ(decoded.pixels[i], decoded.pixels[i + 1]);
    EXPECT_EQ(decoded.pixels[i], decoded.pixels[i + 2]);
    EXPECT_NEAR(decoded.pixels[i], image.pixels[i], 8);
  }
}

TEST(DecodeImageTest, AnImageCutOffAtAnyLengthIsDataLoss) {
  const Image image = PatternImage(24, 24, 3);
  for (const std::string& whole : {EncodePng(image), EncodeJpeg(image, {}), EncodeJpeg(image, {.progressive = true})}) {
    Image decoded;
    ASSERT_TRUE(DecodeImage(whole, &decoded).ok());
    for (size_t length = 0; length < whole.size(); ++length) {
      const absl::Status status = DecodeImage(whole.substr(0, length), &decoded);
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << length << " of " << whole.size();
    }
  }
}

TEST(DecodeImageTest, AnyDamagedByteIsRefusedOrDecodedButNeverMore) {
  const Image image = PatternImage(16, 16, 3);
  int refused = 0;
  for (const std::string& whole : {EncodePng(image), EncodeJpeg(image, {}), EncodeJpeg(image, {.progressive = true})}) {
    Image decoded;
    for (size_t i = 0; i < whole.size(); ++i) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(~damaged[i]);
      const absl::Status status = DecodeImage(damaged, &decoded);
      EXPECT_TRUE(status.ok() || absl::IsDataLoss(status)) << status;
      if (!status.ok()) ++refused;
    }
  }
  EXPECT_GT(refused, 300);
}

TEST(DecodeImageTest, OtherBytesAndColourSpacesAreDataLoss) {
  Image decoded;
  EXPECT_EQ(DecodeImage("", &decoded).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeImage("GIF89a", &decoded).message(), "neither JPEG nor PNG (6 bytes)");
  EXPECT_EQ(DecodeImage(EncodeJpeg(PatternImage(8, 8, 0), {.cmyk = true}), &decoded).code(),
            absl::StatusCode::kDataLoss);
}

TEST(DecodeImageTest, AnImageAboveTheLimitsIsRefusedBeforeItsMemoryIsTaken) {
  std::string jpeg = EncodeJpeg(PatternImage(8, 8, 0), {});
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  jpeg.replace(frame + 5, 4, "\x1f\x40\x1f\x40");  // 8000 × 8000
  Image decoded;
  absl::Status status = DecodeImage(jpeg, &decoded);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("8000 × 8000"));
  EXPECT_TRUE(decoded.pixels.empty());

  const std::string row(4100, '\x55');
  status = DecodeImage(EncodePng(4100, 4100, {PNG_COLOR_TYPE_GRAY, 8}, std::vector<std::string>(4100, row)), &decoded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("4100 × 4100"));
}

}  // namespace
}  // namespace arcshard::worker
