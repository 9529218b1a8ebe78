#include "worker/data/images/image_encode.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>
// jpeglib.h relies on the headers before it.
#include <jpeglib.h>
#include <png.h>

namespace arcshard::worker {

// Encoding a whole image of valid size can fail only for lack of memory. Then these throw or end the program, as other
// allocations do.

std::string EncodeJpeg(const Image& image) {
  jpeg_compress_struct info = {};
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);  // its error handler ends the program
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor =
      1;  // as for the other channels: no chroma subsampling
  info.optimize_coding = TRUE;
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(image.row(static_cast<int>(info.next_scanline)));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string bytes(reinterpret_cast<const char*>(buffer), size);
  jpeg_destroy_compress(&info);
  std::free(buffer);
  return bytes;
}

std::string EncodePng(const Image& image) {
  png_image info = {};
  info.version = PNG_IMAGE_VERSION;
  info.width = static_cast<png_uint_32>(image.width);
  info.height = static_cast<png_uint_32>(image.height);
  info.format = PNG_FORMAT_RGB;
  std::string bytes(PNG_IMAGE_PNG_SIZE_MAX(info), '\0');
  png_alloc_size_t size = bytes.size();
  if (png_image_write_to_memory(&info, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr) == 0) {
    throw std::bad_alloc();
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace arcshard::worker
