#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "worker/data/images/image.h"
#include "worker/data/images/image_decode.h"
#include "worker/data/images/resizer.h"

namespace arcshard::worker {

// Decodes images and resizes them where needed. It reuses its buffers. One per thread.
class ImageReader {
 public:
  // Sets `image` to the image at side × side pixels, which is valid until the next call. Errors are DecodeImage's.
  absl::Status Read(absl::string_view encoded, int side, const Image** image) {
    absl::Status status = DecodeImage(encoded, &decoded_);
    if (!status.ok()) return status;
    *image = &decoded_;
    if (decoded_.width == side && decoded_.height == side) return absl::OkStatus();
    resizer_.Resize(decoded_, side, &resized_);
    *image = &resized_;
    return absl::OkStatus();
  }

 private:
  Image decoded_;
  Image resized_;
  Resizer resizer_;
};

}  // namespace arcshard::worker
