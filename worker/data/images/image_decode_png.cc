#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/data/images/image_decode.h"

namespace arcshard::worker {
namespace {

// Errors leave libpng by longjmp, as in image_decode_jpeg.cc, so the functions below that call libpng have no objects
// with destructors.
struct PngDecoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  const char* next = nullptr;
  size_t left = 0;
  int passes = 1;
  bool ended_early = false;  // the bytes ended before what was to be read
  char message[200] = "out of memory";
};

[[noreturn]] void Escape(png_structp png, png_const_charp message) {
  auto* decoder = static_cast<PngDecoder*>(png_get_error_ptr(png));
  std::snprintf(decoder->message, sizeof(decoder->message), "%s", message);
  png_longjmp(png, 1);
}

void IgnoreWarning(png_structp, png_const_charp) {}

void ReadBytes(png_structp png, png_bytep bytes, size_t count) {
  auto* decoder = static_cast<PngDecoder*>(png_get_io_ptr(png));
  if (count > decoder->left) {
    decoder->ended_early = true;
    png_error(png, "cut off");
  }
  std::memcpy(bytes, decoder->next, count);
  decoder->next += count;
  decoder->left -= count;
}

// Reads what precedes the pixels. No memory for them is taken, whatever size the file claims.
bool Begin(PngDecoder* decoder) {
  decoder->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, decoder, Escape, IgnoreWarning);
  if (decoder->png == nullptr) return false;
  png_structp png = decoder->png;
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  decoder->info = png_create_info_struct(png);
  if (decoder->info == nullptr) return false;
  png_set_read_fn(png, decoder, ReadBytes);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // CheckImageSize has a sentence for them
  png_set_chunk_malloc_max(png, 8 << 20);  // limits compressed texts and profiles, which are not used
  png_read_info(png, decoder->info);
  return true;
}

// Decodes all pixels.
bool ReadPixels(PngDecoder* decoder, Image* image) {
  png_structp png = decoder->png;
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_expand(png);  // palettes and fewer than 8 bits
  png_set_scale_16(png);
  png_set_strip_alpha(png);
  png_set_gray_to_rgb(png);
  decoder->passes = png_set_interlace_handling(png);
  png_read_update_info(png, decoder->info);
  if (png_get_rowbytes(png, decoder->info) != size_t{3} * image->width) png_error(png, "unknown pixel format");
  for (int pass = 0; pass < decoder->passes; ++pass) {
    for (int y = 0; y < image->height; ++y) png_read_row(png, image->row(y), nullptr);
  }
  return true;
}

// Reads what follows the pixels, which is not used. False: it is damaged, or the file ends before its IEND.
bool ReadEnd(PngDecoder* decoder) {
  png_structp png = decoder->png;
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_read_end(png, nullptr);
  return true;
}

absl::Status Decode(PngDecoder* decoder, Image* image) {
  const auto loss = [&] { return absl::DataLossError(absl::StrCat("not a whole PNG image: ", decoder->message)); };
  if (!Begin(decoder)) return loss();
  const int64_t width = png_get_image_width(decoder->png, decoder->info);
  const int64_t height = png_get_image_height(decoder->png, decoder->info);
  RETURN_IF_ERROR(CheckImageSize(width, height));
  image->Resize(static_cast<int>(width), static_cast<int>(height));
  if (!ReadPixels(decoder, image)) return loss();
  return ReadEnd(decoder) || decoder->ended_early ? absl::OkStatus() : loss();
}

}  // namespace

absl::Status DecodePng(absl::string_view encoded, Image* image, DecodeNotes* notes) {
  PngDecoder decoder;
  decoder.next = encoded.data();
  decoder.left = encoded.size();
  const absl::Status status = Decode(&decoder, image);
  if (notes != nullptr) notes->no_end_marker = status.ok() && decoder.ended_early;
  if (decoder.png != nullptr) png_destroy_read_struct(&decoder.png, &decoder.info, nullptr);
  return status;
}

}  // namespace arcshard::worker
