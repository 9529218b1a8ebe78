#pragma once

#include <string>

#include "absl/status/status.h"
#include "cli/model/forward_options.h"

namespace arcshard::cli {

struct EmbedCommandOptions {
  std::string backbone;       // safetensors
  std::string input;          // images, in a form that worker/inference/image_sources.h can open
  std::string output;         // safetensors with the tensors of worker/inference/embeddings_writer.h
  bool normalize = false;     // scale embeddings to norm 1
  bool flip = false;          // add the embedding of the mirrored image, as verification does
  bool force = false;         // replace the output if it exists
  bool skip_damaged = false;  // leave out images that cannot be decoded, instead of failing
  ForwardOptions forward = {};
};

// Writes the embeddings of images to a file. Prints on stdout what was written, and on stderr the images that were left
// out and, every few seconds, the progress. Memory does not grow with the number of images. DataLoss: an image is
// damaged (the message names it), or all are. Other errors are those of the files and, before anything is embedded, of
// CheckOutputFile. After an error there is no output.
absl::Status EmbedImages(const EmbedCommandOptions& options);

}  // namespace arcshard::cli
