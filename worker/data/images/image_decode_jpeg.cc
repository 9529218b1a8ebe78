#include <csetjmp>
#include <cstddef>
#include <cstdio>
// jpeglib.h relies on the two headers before it, and jerror.h on jpeglib.h.
#include <jpeglib.h>
//
#include <jerror.h>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/data/images/image_decode.h"

namespace arcshard::worker {
namespace {

// A progressive file of a few kilobytes may have so many scans of a large image that decoding it takes minutes.
constexpr int kMaxScans = 500;

// libjpeg reports errors by a callback that must not return. Ours leaves by longjmp, so the functions below that call
// libjpeg have no objects with destructors.
struct JpegDecoder {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void Escape(j_common_ptr info) {
  auto* decoder = static_cast<JpegDecoder*>(info->client_data);
  info->err->format_message(info, decoder->message);
  std::longjmp(decoder->escape, 1);
}

// After some warnings libjpeg continues with grey pixels in place of missing ones. Those warnings are errors here.
void OnMessage(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC:
      Escape(info);
    default:  // surplus bytes or odd version numbers: all pixels are there
      return;
  }
}

void OnProgress(j_common_ptr info) {
  auto* decoder = static_cast<JpegDecoder*>(info->client_data);
  if (decoder->info.input_scan_number <= kMaxScans) return;
  std::snprintf(decoder->message, sizeof(decoder->message), "more than %d scans", kMaxScans);
  std::longjmp(decoder->escape, 1);
}

bool Begin(JpegDecoder* decoder, const unsigned char* bytes, unsigned long size) {
  jpeg_decompress_struct& info = decoder->info;
  info.err = jpeg_std_error(&decoder->errors);
  decoder->errors.error_exit = Escape;
  decoder->errors.emit_message = OnMessage;
  info.client_data = decoder;
  if (setjmp(decoder->escape) != 0) return false;
  jpeg_create_decompress(&info);
  decoder->progress.progress_monitor = OnProgress;
  info.progress = &decoder->progress;
  jpeg_mem_src(&info, bytes, size);
  jpeg_read_header(&info, TRUE);
  info.out_color_space = JCS_RGB;  // converts grey and YCbCr; libjpeg refuses CMYK
  return true;
}

bool ReadPixels(JpegDecoder* decoder, Image* image) {
  jpeg_decompress_struct& info = decoder->info;
  if (setjmp(decoder->escape) != 0) return false;
  jpeg_start_decompress(&info);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = image->row(static_cast<int>(info.output_scanline));
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  return true;
}

absl::Status Decode(JpegDecoder* decoder, absl::string_view encoded, Image* image) {
  const auto loss = [&] { return absl::DataLossError(absl::StrCat("not a whole JPEG image: ", decoder->message)); };
  if (!Begin(decoder, reinterpret_cast<const unsigned char*>(encoded.data()), encoded.size())) return loss();
  RETURN_IF_ERROR(CheckImageSize(decoder->info.image_width, decoder->info.image_height));
  image->Resize(static_cast<int>(decoder->info.image_width), static_cast<int>(decoder->info.image_height));
  return ReadPixels(decoder, image) ? absl::OkStatus() : loss();
}

}  // namespace

absl::Status DecodeJpeg(absl::string_view encoded, Image* image) {
  JpegDecoder decoder = {};
  const absl::Status status = Decode(&decoder, encoded, image);
  jpeg_destroy_decompress(&decoder.info);
  return status;
}

}  // namespace arcshard::worker
