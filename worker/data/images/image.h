#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace arcshard::worker {

// An 8-bit RGB image, rows from the top, (height × width × 3).
struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> pixels;

  const uint8_t* row(int y) const { return pixels.data() + size_t{3} * width * y; }
  uint8_t* row(int y) { return pixels.data() + size_t{3} * width * y; }
  void Resize(int new_width, int new_height) {
    width = new_width;
    height = new_height;
    pixels.resize(size_t{3} * width * height);
  }
};

}  // namespace arcshard::worker
