#pragma once

#include <string>

#include "absl/status/status.h"

namespace arcshard::cli {

struct EmbedCommandOptions {
  std::string backbone;       // safetensors
  std::string input;          // worker/inference/image_sources.h says what
  std::string output;         // safetensors; worker/inference/embeddings_writer.h says what is in it
  bool normalize = false;     // embeddings of norm 1
  bool flip = false;          // the sum of an image's embedding and its mirror image's, as verification takes it
  bool skip_damaged = false;  // leave images out that cannot be decoded, instead of giving up
  int threads = 0;            // forward passes at once; 0: as many as this process may use cores
  int batch = 16;             // images of a forward pass
  double pixel_mean = 127.5;  // (pixel - mean) / std, as in training
  double pixel_std = 127.5;
};

// `arcshard embed`: the embeddings of images as a file; says on stdout what was written, on stderr which images were
// left out and every few seconds how far it is. Memory does not grow with the number of images. DataLoss: an image is
// damaged, by name, or all are; others as of the files. Nothing is written then.
absl::Status EmbedImages(const EmbedCommandOptions& options);

}  // namespace arcshard::cli
