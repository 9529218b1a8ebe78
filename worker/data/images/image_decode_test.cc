#include "worker/data/images/image_decode.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/data/testing/test_images.h"

namespace arcshard::worker {
namespace {

using ::testing::AllOf;
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

TEST(DecodeImageTest, AnImageCutOffAtAnyLengthIsDataLossUnlessOnlyTheEndMarkerIsMissing) {
  const Image image = PatternImage(24, 24, 3);
  for (const std::string& whole : {EncodePng(image), EncodeJpeg(image, {}), EncodeJpeg(image, {.progressive = true})}) {
    Image decoded, again;
    DecodeNotes notes;
    ASSERT_TRUE(DecodeImage(whole, &decoded, &notes).ok());
    EXPECT_FALSE(notes.no_end_marker);
    const size_t needed = whole.size() - (IsPng(whole) ? 12 : 2);  // IEND is a chunk without data
    for (size_t length = 0; length < whole.size(); ++length) {
      const absl::Status status = DecodeImage(whole.substr(0, length), &again, &notes);
      if (length < needed) {
        EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << length << " of " << whole.size();
        continue;
      }
      EXPECT_EQ(status, absl::OkStatus()) << length << " of " << whole.size();
      EXPECT_TRUE(notes.no_end_marker);
      EXPECT_EQ(again.pixels, decoded.pixels);
    }
  }
}

TEST(DecodeImageTest, AnInterlacedPngCutOffAtAnyLengthIsDataLossUnlessOnlyItsEndIsMissing) {
  const std::string whole = EncodePng(8, 8, {PNG_COLOR_TYPE_GRAY, 8, true}, std::vector<std::string>(8, "abcdefgh"));
  Image decoded;
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_EQ(DecodeImage(whole.substr(0, length), &decoded).ok(), length >= whole.size() - 12) << length;
  }
}

TEST(DecodeImageTest, APngThatIsDamagedBehindItsPixelsIsDataLoss) {
  std::string png = EncodePng(PatternImage(24, 24, 3));
  png.back() = static_cast<char>(~png.back());  // of the checksum
  Image decoded;
  EXPECT_EQ(DecodeImage(png, &decoded).code(), absl::StatusCode::kDataLoss);
}

TEST(DecodeImageTest, BytesAroundTheEndMarkerAreNoDamage) {
  const Image image = PatternImage(24, 24, 3);
  const std::string whole = EncodeJpeg(image, {});
  const absl::string_view pixels = absl::string_view(whole).substr(0, whole.size() - 2), end = "\xff\xd9";
  Image decoded;
  for (const std::string& file : {absl::StrCat(pixels, "\x7f", end), absl::StrCat(pixels, std::string(300, '\0'), end),
                                  absl::StrCat(whole, std::string(600, '\0')), absl::StrCat(whole, whole)}) {
    EXPECT_EQ(DecodeImage(file, &decoded), absl::OkStatus());
  }
}

// The offset of the data of the only scan, and what they are with `count` zeros in their middle.
size_t DataOf(const std::string& jpeg) {
  return jpeg.find("\xff\xda") + 2 + static_cast<uint8_t>(jpeg[jpeg.find("\xff\xda") + 3]);
}
std::string WithZeros(std::string jpeg, size_t count) {
  const size_t begin = DataOf(jpeg);
  return jpeg.replace(begin + (jpeg.size() - begin - count) / 2, count, std::string(count, '\0'));
}

TEST(DecodeImageTest, ZerosInTheMiddleOfTheDataAreDataLoss) {
  const Image image = PatternImage(112, 112, 1);
  for (const JpegKind& kind :
       {JpegKind{}, JpegKind{.grey = true}, JpegKind{.progressive = true}, JpegKind{.cmyk = true}}) {
    const std::string whole = EncodeJpeg(image, kind);
    Image decoded;
    ASSERT_TRUE(DecodeImage(whole, &decoded).ok());
    for (const size_t count : {40, 100, 512}) {
      EXPECT_EQ(DecodeImage(WithZeros(whole, count), &decoded).code(), absl::StatusCode::kDataLoss) << count;
    }
  }
  Image decoded;
  EXPECT_EQ(DecodeImage(WithZeros(EncodeJpeg(image, {}), 100), &decoded).message(),
            "not a whole JPEG image: 100 bytes in the middle of its pixels are 0");
  std::string half = EncodeJpeg(image, {});
  std::fill(half.begin() + static_cast<std::ptrdiff_t>(half.size() / 2), half.end(), '\0');
  EXPECT_EQ(DecodeImage(half, &decoded).code(), absl::StatusCode::kDataLoss) << "a download that reserved its space";
}

TEST(DecodeImageTest, AFlatPictureWhoseDataAreZerosIsNoDamage) {
  Image white;
  white.Resize(200, 200);
  std::fill(white.pixels.begin(), white.pixels.end(), uint8_t{255});
  const std::string jpeg = EncodeJpeg(white);  // with the Huffman table that makes it smallest
  ASSERT_NE(jpeg.find(std::string(20, '\0'), DataOf(jpeg)), std::string::npos);
  Image decoded;
  EXPECT_EQ(DecodeImage(jpeg, &decoded), absl::OkStatus());
  EXPECT_EQ(decoded.pixels, white.pixels);
}

TEST(DecodeImageTest, CmykAndYcckBecomeRgbAsAdobeInvertsThem) {
  // The encoder stores the channels R, G, B and R again: an inverted CMYK whose black is R.
  Image image;
  image.Resize(16, 16);
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    image.pixels[i] = 200;
    image.pixels[i + 1] = 100;
    image.pixels[i + 2] = 50;
  }
  Image decoded;
  for (const JpegKind& kind : {JpegKind{.cmyk = true}, JpegKind{.ycck = true}}) {
    ASSERT_EQ(DecodeImage(EncodeJpeg(image, kind), &decoded), absl::OkStatus());
    EXPECT_NEAR(decoded.pixels[0], 200 * 200 / 255, 3) << kind.ycck;
    EXPECT_NEAR(decoded.pixels[1], 100 * 200 / 255, 3) << kind.ycck;
    EXPECT_NEAR(decoded.pixels[2], 50 * 200 / 255, 3) << kind.ycck;
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

TEST(DecodeImageTest, OtherBytesAreDataLossAndSayWhatTheyAre) {
  Image decoded;
  const auto message = [&](const std::string& bytes) {
    const absl::Status status = DecodeImage(bytes, &decoded);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    return std::string(status.message());
  };
  EXPECT_EQ(message(""), "neither JPEG nor PNG (0 bytes)");
  EXPECT_EQ(message("GIF89a"), "neither JPEG nor PNG but GIF (6 bytes)");
  EXPECT_THAT(message("RIFF....WEBPVP8 "), HasSubstr(" but WebP ("));
  EXPECT_THAT(message(absl::StrCat("BM....", std::string(30, '\0'))), HasSubstr(" but BMP ("));
  EXPECT_THAT(message(std::string("II*\0....", 8)), HasSubstr(" but TIFF ("));
  EXPECT_THAT(message("P5\n8 8\n255\n"), HasSubstr(" but PGM ("));
  EXPECT_THAT(message(std::string("\0\0\0 ftypavif", 12)), HasSubstr(" but AVIF ("));
  EXPECT_THAT(message("<!DOCTYPE html>"), HasSubstr(" but an HTML page ("));
  EXPECT_THAT(message("version https://git-lfs.github.com/spec/v1\n"), HasSubstr(" but a pointer of Git LFS"));
  EXPECT_EQ(message("\x1f\x8b\x08"), "neither JPEG nor PNG but a gzip archive (3 bytes)");
  EXPECT_THAT(message(std::string(100, '\0')), HasSubstr(" but nothing but zeros ("));
  EXPECT_EQ(message("P5 is a motorway"), "neither JPEG nor PNG but PGM (16 bytes)");
  EXPECT_EQ(message("PIG"), "neither JPEG nor PNG (3 bytes)");
}

TEST(DecodeImageTest, AJpegOfAKindThatIsNotReadIsNotCalledIncomplete) {
  const std::string whole = EncodeJpeg(PatternImage(8, 8, 0), {});
  const size_t frame = whole.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  const auto message = [&](size_t at, const std::string& bytes) {
    std::string jpeg = whole;
    Image decoded;
    const absl::Status status = DecodeImage(jpeg.replace(frame + at, bytes.size(), bytes), &decoded);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    return std::string(status.message());
  };
  const auto of_another_kind = HasSubstr("a JPEG of a kind that is not read here: ");
  EXPECT_THAT(message(4, "\x0c"), AllOf(of_another_kind, HasSubstr("precision 12")));
  EXPECT_THAT(message(1, "\xc5"), AllOf(of_another_kind, HasSubstr("0xc5"))) << "hierarchical";
  EXPECT_THAT(message(5, std::string(2, '\0')), AllOf(of_another_kind, HasSubstr("DNL"))) << "no height in its frame";
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

TEST(DecodeImageTest, APngWithALongSideIsRefusedForItsSizeAndNotCalledIncomplete) {
  Image decoded;
  const std::string row(9000, '\x55');
  EXPECT_EQ(DecodeImage(EncodePng(9000, 2, {PNG_COLOR_TYPE_GRAY, 8}, {row, row}), &decoded).message(),
            absl::StrCat("an image of 9000 × 2 pixels; at most ", kMaxImageSide, " a side and ", kMaxImagePixels,
                         " in all are read"));
}

}  // namespace
}  // namespace arcshard::worker
