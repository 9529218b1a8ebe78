#pragma once

#include <vector>

#include "worker/data/images/image.h"

namespace arcshard::worker {

// Resizes images as Pillow's Image.resize(BILINEAR) does, except for ties in rounding: bilinear, and averaged over the
// whole footprint of a target pixel where the image shrinks. It reuses its buffers. One per thread.
class Resizer {
 public:
  // Makes `to` the image at side × side pixels. `from` and `to` may not be the same image.
  void Resize(const Image& from, int side, Image* to);

 private:
  // The source pixels of a target pixel and their weights.
  struct Taps {
    int first = 0;
    int count = 0;
    int weights = 0;  // where they begin in weights_
  };
  void SetTaps(int from_size, int to_size);

  std::vector<Taps> taps_;  // one for each target pixel
  std::vector<float> weights_;
  Image narrow_;             // after the horizontal pass
  std::vector<float> sums_;  // one row of the vertical pass
};

}  // namespace arcshard::worker
