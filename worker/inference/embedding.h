#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/backbone/backbone.h"
#include "worker/data/dataset.h"
#include "worker/data/images/normalization.h"

// Embeddings of many images by a backbone that is not being trained.
namespace arcshard::worker {

// Images 0, 1, 2, ... to embed, with labels. Reading is thread-safe.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  virtual int64_t images() const = 0;
  // Like Dataset::Read; the label of an image without one is -1.
  virtual absl::StatusOr<LabeledImage> Read(int64_t image, int side, SampleBuffers* buffers) const = 0;
};

struct EmbedOptions {
  Normalization normalization;
  int64_t batch_size = 64;  // images of one forward pass
  // Forward passes at the same time, each confined to one thread. LibTorch's own threads would split every layer and
  // wait for each other by spinning, which takes several times as long when other processes use the cores too.
  int threads = 1;
  // Called by the thread that called EmbedRange, whenever further batches are done, with the number of images so far.
  // An error ends the embedding, once the batches in progress are done. Null: is not called.
  std::function<absl::Status(int64_t images)> after_batch = nullptr;
};

// Where the results of a range of n images are written; row 0 is the range's first image. A span that is empty is not
// filled.
struct EmbeddedRows {
  absl::Span<float> originals;  // n×D
  absl::Span<float> flips;      // n×D, of the mirror images
  absl::Span<int64_t> labels;   // n
  // n: why an image could not be read (DataLoss only); its rows hold no result then. If empty, such an image is an
  // error.
  absl::Span<absl::Status> damaged;
};

// Embeds images [begin, end) of `source`. Does not change the backbone. The batches, and so the bits of the results, do
// not depend on the number of threads. Errors of Backbone::Forward and of ImageSource::Read, for the first such image,
// or that of `after_batch`.
absl::Status EmbedRange(Backbone* backbone, const ImageSource& source, const EmbedOptions& options, int64_t begin,
                        int64_t end, const EmbeddedRows& rows);

}  // namespace arcshard::worker
