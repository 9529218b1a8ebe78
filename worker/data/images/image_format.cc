#include "worker/data/images/image_format.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/text/file_kind.h"

namespace arcshard::worker {
namespace {

constexpr FileSignature kSignatures[] = {
    {0, "GIF87a", "GIF"},
    {0, "GIF89a", "GIF"},
    {0, "II*\0", "TIFF"},
    {0, "MM\0*", "TIFF"},
    {0, "II+\0", "TIFF"},
    {0, "MM\0+", "TIFF"},
    {4, "ftypavif", "AVIF"},
    {4, "ftypavis", "AVIF"},
    {4, "ftyphei", "HEIF"},
    {4, "ftyphev", "HEIF"},
    {4, "ftypmif1", "HEIF"},
    {4, "ftypmsf1", "HEIF"},
    {4, "jP  \r\n\x87\n", "JPEG 2000"},
    {0, "\xff\x4f\xff\x51", "JPEG 2000"},
    {4, "JXL \r\n\x87\n", "JPEG XL"},
    {0, "\xff\x0a", "JPEG XL"},
    {0, "8BPS", "PSD"},
    {0, "\0\0\1\0", "ICO"},
    {0, "<svg", "SVG"},
};

constexpr std::array<absl::string_view, 5> kSuffixes = {"jpg", "jpeg", "jpe", "jfif", "png"};
constexpr absl::string_view kOtherSuffixes[] = {
    "webp", "bmp", "dib", "gif", "tif", "tiff", "pgm", "ppm", "pbm", "pnm", "pam", "ras", "heic", "heif", "avif",
    "jp2",  "j2k", "jpf", "jpx", "jxl", "tga",  "ico", "psd", "exr", "hdr", "dng", "cr2", "nef",  "arw",  "svg"};

// Netpbm's formats begin with P1 to P7 and a blank.
absl::string_view NameOfNetpbm(absl::string_view encoded) {
  if (encoded.size() < 3 || encoded[0] != 'P' || !absl::ascii_isspace(static_cast<unsigned char>(encoded[2])))
    return "";
  switch (encoded[1]) {
    case '1':
    case '4':
      return "PBM";
    case '2':
    case '5':
      return "PGM";
    case '3':
    case '6':
      return "PPM";
    case '7':
      return "PAM";
    default:
      return "";
  }
}

}  // namespace

absl::string_view NameOfOtherFormat(absl::string_view encoded) {
  const absl::string_view known = NameBySignature(kSignatures, encoded);
  if (!known.empty()) return known;
  if (absl::StartsWith(encoded, "RIFF") && encoded.size() >= 12 && encoded.substr(8, 4) == "WEBP") return "WebP";
  // BMP: "BM", the file's size, and four bytes that are 0.
  if (absl::StartsWith(encoded, "BM") && encoded.size() >= 26 &&
      encoded.substr(6, 4) == absl::string_view("\0\0\0\0", 4))
    return "BMP";
  if (!encoded.empty() && std::all_of(encoded.begin(), encoded.end(), [](char byte) { return byte == 0; })) {
    return "nothing but zeros";
  }
  const absl::string_view netpbm = NameOfNetpbm(encoded);
  return netpbm.empty() ? FileKind(encoded) : netpbm;
}

bool IsImageSuffix(absl::string_view suffix) {
  return std::find(kSuffixes.begin(), kSuffixes.end(), suffix) != kSuffixes.end();
}

std::string ImageSuffixes() {
  std::string text;
  for (size_t i = 0; i < kSuffixes.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "." : i + 1 < kSuffixes.size() ? ", ." : " or .", kSuffixes[i]);
  }
  return text;
}

bool IsOtherImageSuffix(absl::string_view suffix) {
  return std::find(std::begin(kOtherSuffixes), std::end(kOtherSuffixes), suffix) != std::end(kOtherSuffixes);
}

}  // namespace arcshard::worker
