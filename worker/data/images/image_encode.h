#pragma once

#include <string>

#include "worker/data/images/image.h"

namespace arcshard::worker {

// Encodes as JPEG at libjpeg's quality 95, with colours at full resolution.
std::string EncodeJpeg(const Image& image);

// Encodes as 8-bit RGB PNG, without loss.
std::string EncodePng(const Image& image);

}  // namespace arcshard::worker
