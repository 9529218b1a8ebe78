#include "worker/data/images/exif_orientation.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/match.h"
#include "worker/data/images/image_decode.h"

namespace arcshard::worker {
namespace {

constexpr int kUpright = 1;
constexpr absl::string_view kExif("Exif\0\0", 6);

// A number of `width` bytes at `at`; 0 where the bytes end before.
uint32_t Number(absl::string_view bytes, size_t at, int width, bool big_endian) {
  if (at > bytes.size() || bytes.size() - at < static_cast<size_t>(width)) return 0;
  uint32_t number = 0;
  for (int i = 0; i < width; ++i) {
    const size_t place = big_endian ? at + i : at + width - 1 - i;
    number = number << 8 | static_cast<uint8_t>(bytes[place]);
  }
  return number;
}

// EXIF data are a TIFF file without pixels: byte order, 42, the offset of the first directory; a directory is a count
// and entries of 12 bytes: tag, type, count, value.
int OrientationOfTiff(absl::string_view tiff) {
  constexpr uint32_t kOrientation = 0x0112, kShort = 3;
  const bool big_endian = absl::StartsWith(tiff, "MM");
  if (!big_endian && !absl::StartsWith(tiff, "II")) return kUpright;
  const size_t directory = Number(tiff, 4, 4, big_endian);
  const uint32_t entries = Number(tiff, directory, 2, big_endian);
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + size_t{12} * i;
    if (entry + 12 > tiff.size()) return kUpright;
    if (Number(tiff, entry, 2, big_endian) != kOrientation) continue;
    const uint32_t value = Number(tiff, entry + 8, 2, big_endian);
    return Number(tiff, entry + 2, 2, big_endian) == kShort && value >= 1 && value <= 8 ? static_cast<int>(value)
                                                                                        : kUpright;
  }
  return kUpright;
}

int OrientationOfJpeg(absl::string_view jpeg) {
  constexpr uint8_t kApp1 = 0xe1, kScan = 0xda, kEnd = 0xd9;
  for (size_t at = 2; at + 4 <= jpeg.size() && jpeg[at] == '\xff';) {
    const auto marker = static_cast<uint8_t>(jpeg[at + 1]);
    if (marker == 0xff) {  // a fill byte
      ++at;
      continue;
    }
    if (marker == kScan || marker == kEnd) break;
    const size_t length = Number(jpeg, at + 2, 2, true);
    const absl::string_view segment = jpeg.substr(at + 4, length < 2 ? 0 : length - 2);
    if (marker == kApp1 && absl::StartsWith(segment, kExif)) return OrientationOfTiff(segment.substr(kExif.size()));
    at += 2 + length;
  }
  return kUpright;
}

int OrientationOfPng(absl::string_view png) {
  constexpr size_t kSignature = 8, kAroundData = 12;  // length, type and checksum
  for (size_t at = kSignature; at + kAroundData <= png.size();) {
    const size_t length = Number(png, at, 4, true);
    if (png.substr(at + 4, 4) == "eXIf") return OrientationOfTiff(png.substr(at + 8, length));
    at += kAroundData + length;
  }
  return kUpright;
}

}  // namespace

int ExifOrientation(absl::string_view encoded) {
  return IsPng(encoded) ? OrientationOfPng(encoded) : OrientationOfJpeg(encoded);
}

}  // namespace arcshard::worker
