#pragma once

#include <string>

#include "worker/data/images/image.h"

namespace arcshard::worker {

// JPEG at libjpeg's quality 95, colours at full resolution: for images that are stored once more.
std::string EncodeJpeg(const Image& image);

// PNG, 8 bits, RGB: not a bit is lost.
std::string EncodePng(const Image& image);

}  // namespace arcshard::worker
