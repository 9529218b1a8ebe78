#include "worker/data/images/image_decode.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "worker/data/images/image_format.h"

namespace arcshard::worker {

absl::Status CheckImageSize(int64_t width, int64_t height) {
  if (width < 1 || height < 1 || width > kMaxImageSide || height > kMaxImageSide || width * height > kMaxImagePixels) {
    return absl::DataLossError(absl::StrCat("an image of ", width, " × ", height, " pixels; at most ", kMaxImageSide,
                                            " a side and ", kMaxImagePixels, " in all are read"));
  }
  return absl::OkStatus();
}

bool IsPng(absl::string_view encoded) { return absl::StartsWith(encoded, "\x89PNG\r\n\x1a\n"); }

absl::Status DecodeImage(absl::string_view encoded, Image* image, DecodeNotes* notes) {
  if (notes != nullptr) *notes = {};
  if (absl::StartsWith(encoded, "\xff\xd8\xff")) return DecodeJpeg(encoded, image, notes);
  if (IsPng(encoded)) return DecodePng(encoded, image, notes);
  const absl::string_view other = NameOfOtherFormat(encoded);
  return absl::DataLossError(
      absl::StrCat("neither JPEG nor PNG", other.empty() ? "" : " but ", other, " (", encoded.size(), " bytes)"));
}

}  // namespace arcshard::worker
