#pragma once

#include <string>

#include "worker/data/testing/test_images.h"

// Verification sets for tests.
namespace arcshard::worker {

// A pickle of (2·pairs pictures of side × side pixels, flags); the picture `damaged` is cut off.
inline std::string PickleOfPairs(int pairs, int side, int damaged = -1) {
  std::string pickle = "\x80\x03](";
  for (int i = 0; i < 2 * pairs; ++i) {
    std::string image = EncodeJpeg(PatternImage(side, side, i), {});
    if (i == damaged) image.resize(image.size() / 2);
    pickle += 'B';
    for (int byte = 0; byte < 4; ++byte) pickle += static_cast<char>(image.size() >> (8 * byte));
    pickle += image;
  }
  pickle += "e](";
  for (int i = 0; i < pairs; ++i) pickle += i % 2 == 0 ? '\x88' : '\x89';
  return pickle + "e\x86.";
}

}  // namespace arcshard::worker
