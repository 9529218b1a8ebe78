#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
// jpeglib.h relies on the two headers before it, and jerror.h on jpeglib.h.
#include <jpeglib.h>
//
#include <jerror.h>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/data/images/image_decode.h"
#include "worker/data/images/jpeg_zeros.h"

namespace arcshard::worker {
namespace {

// A progressive file of a few kilobytes may have so many scans of a large image that decoding it takes minutes.
constexpr int kMaxScans = 500;

// Runs of zeros from this length on don't occur in the pixels' data of a whole file (see HasZeros).
constexpr size_t kZeros = 8;
constexpr ptrdiff_t kReadAhead = 8;  // bytes that libjpeg has taken and not decoded yet, at most

// libjpeg reports errors by a callback that must not return. Ours leaves by longjmp, so the functions below that call
// libjpeg have no objects with destructors.
struct JpegDecoder {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
  const unsigned char* end;      // of the file's bytes
  const unsigned char* scan;     // where the data of the first scan begin; null while the headers are read
  const unsigned char* decoded;  // where the data end that all pixels came from
  bool ended_early;              // the bytes ended before the end marker
  bool several_scans;
  bool zeros_are_flat;  // see ZerosAreFlat
  long surplus;         // bytes of the scans' data that no pixel needed
};

[[noreturn]] void Escape(j_common_ptr info) {
  auto* decoder = static_cast<JpegDecoder*>(info->client_data);
  info->err->format_message(info, decoder->message);
  std::longjmp(decoder->escape, 1);
}

// After some warnings libjpeg continues with grey pixels in place of missing ones. Those warnings are errors here.
void OnMessage(j_common_ptr info, int level) {
  if (level >= 0) return;
  auto* decoder = static_cast<JpegDecoder*>(info->client_data);
  switch (info->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      Escape(info);
    case JWRN_JPEG_EOF:  // where a pixel needs more bytes, JWRN_HIT_MARKER follows
      if (decoder->scan == nullptr) Escape(info);
      decoder->ended_early = true;
      return;
    case JWRN_EXTRANEOUS_DATA:
      if (decoder->scan != nullptr) decoder->surplus = true;
      return;
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
  decoder->end = bytes + size;
  decoder->scan = info.src->next_input_byte;
  // libjpeg converts grey and YCbCr to RGB, and YCCK to CMYK only.
  info.out_color_space = info.num_components == 4 ? JCS_CMYK : JCS_RGB;
  return true;
}

// Programs that write CMYK store it inverted, as Adobe's do, and readers rely on that, whether Adobe's marker is there
// or not: a value says how much of the light a colour leaves.
void CmykToRgb(const JSAMPLE* cmyk, int width, uint8_t* rgb) {
  for (int x = 0; x < width; ++x, cmyk += 4) {
    for (int c = 0; c < 3; ++c) *rgb++ = static_cast<uint8_t>((cmyk[c] * cmyk[3] + 127) / 255);
  }
}

// Whether the file of an image with several scans ended before all of them. (A file with one scan lacks pixels then,
// which OnMessage notices.) Call it before jpeg_finish_decompress.
bool LacksScans(const jpeg_decompress_struct& info) {
  if (info.coef_bits == nullptr) return true;  // sequential: nothing says how many scans there should be
  for (int c = 0; c < info.num_components; ++c) {
    for (int k = 0; k < DCTSIZE2; ++k) {
      if (info.coef_bits[c][k] != 0) return true;  // not known, or not to the last bit
    }
  }
  return false;
}

// Whether zeros in the data of the current scan stand for flat blocks: each component's shortest code, which is all
// zeros, ends a block. Otherwise they stand for blocks with dozens of equal coefficients, which no picture has.
bool ZerosAreFlat(const jpeg_decompress_struct& info) {
  for (int i = 0; i < info.comps_in_scan; ++i) {
    const JHUFF_TBL* table = info.ac_huff_tbl_ptrs[info.cur_comp_info[i]->ac_tbl_no];
    if (table == nullptr || table->huffval[0] != 0) return false;
  }
  return true;
}

// Decodes all pixels. Returns false and leaves the reason in decoder->message if the image is damaged.
bool ReadPixels(JpegDecoder* decoder, Image* image) {
  jpeg_decompress_struct& info = decoder->info;
  if (setjmp(decoder->escape) != 0) return false;
  jpeg_start_decompress(&info);
  decoder->several_scans = jpeg_has_multiple_scans(&info) != FALSE;
  decoder->zeros_are_flat = decoder->several_scans || info.arith_code || ZerosAreFlat(info);
  JSAMPROW cmyk = nullptr;
  if (info.out_color_space == JCS_CMYK) {
    cmyk = *(*info.mem->alloc_sarray)(reinterpret_cast<j_common_ptr>(&info), JPOOL_IMAGE, 4 * info.output_width, 1);
  }
  while (info.output_scanline < info.output_height) {
    uint8_t* const rgb = image->row(static_cast<int>(info.output_scanline));
    JSAMPROW row = cmyk != nullptr ? cmyk : rgb;
    jpeg_read_scanlines(&info, &row, 1);
    if (cmyk != nullptr) CmykToRgb(cmyk, image->width, rgb);
  }
  // After the last byte libjpeg goes on to read an end marker of its own, which lies elsewhere.
  decoder->decoded = decoder->ended_early ? decoder->end : info.src->next_input_byte;
  if (decoder->ended_early && decoder->several_scans && LacksScans(info)) {
    std::snprintf(decoder->message, sizeof(decoder->message), "it ends before its last scan");
    return false;
  }
  jpeg_finish_decompress(&info);
  return true;
}

// Whether zeros were decoded as pixels. Where zeros may stand for a flat area, they are taken for damage only if the
// data, of which they then needed too few, have bytes left that no pixel needed.
bool HasZeros(JpegDecoder* decoder) {
  const auto from_scan = [&](const unsigned char* to) {
    return absl::string_view(reinterpret_cast<const char*>(decoder->scan),
                             static_cast<size_t>(std::max<ptrdiff_t>(0, to - decoder->scan)));
  };
  size_t zeros = 0;
  if (!decoder->zeros_are_flat) {
    zeros = FirstRunOfZeros(from_scan(decoder->decoded - kReadAhead), kZeros);
  } else if (decoder->surplus) {
    zeros = FirstRunOfZerosInScans(from_scan(decoder->end), kZeros);
  }
  if (zeros == 0) return false;
  std::snprintf(decoder->message, sizeof(decoder->message), "%zu bytes in the middle of its pixels are 0", zeros);
  return true;
}

// Whether the error that ended decoding says that libjpeg does not decode such images, not that bytes are damaged.
bool IsOfAnotherKind(const JpegDecoder& decoder) {
  switch (decoder.errors.msg_code) {
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:       // 12 bits
    case JERR_CONVERSION_NOTIMPL:  // two channels, or more than four
    case JERR_EMPTY_IMAGE:         // the height follows the first scan
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_SOF_UNSUPPORTED:  // lossless or hierarchical
      return true;
    default:
      return false;
  }
}

absl::Status Decode(JpegDecoder* decoder, absl::string_view encoded, Image* image) {
  const auto loss = [&] {
    return absl::DataLossError(absl::StrCat(
        IsOfAnotherKind(*decoder) ? "a JPEG of a kind that is not read here: " : "not a whole JPEG image: ",
        decoder->message));
  };
  if (!Begin(decoder, reinterpret_cast<const unsigned char*>(encoded.data()), encoded.size())) return loss();
  RETURN_IF_ERROR(CheckImageSize(decoder->info.image_width, decoder->info.image_height));
  image->Resize(static_cast<int>(decoder->info.image_width), static_cast<int>(decoder->info.image_height));
  return ReadPixels(decoder, image) && !HasZeros(decoder) ? absl::OkStatus() : loss();
}

}  // namespace

absl::Status DecodeJpeg(absl::string_view encoded, Image* image, DecodeNotes* notes) {
  JpegDecoder decoder = {};
  const absl::Status status = Decode(&decoder, encoded, image);
  if (notes != nullptr) notes->no_end_marker = status.ok() && decoder.ended_early;
  jpeg_destroy_decompress(&decoder.info);
  return status;
}

}  // namespace arcshard::worker
