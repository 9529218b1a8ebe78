#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/backbone/backbone.h"
#include "worker/data/dataset.h"
#include "worker/data/images/normalization.h"

// Embeddings of many images by a backbone that is not being trained.
namespace arcshard::worker {

// What is embedded: images 0, 1, 2, ... with labels. Reading is thread-safe.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  virtual int64_t images() const = 0;
  // As Dataset::Read; the label is -1 where there is none.
  virtual absl::StatusOr<LabeledImage> Read(int64_t image, int side, SampleBuffers* buffers) const = 0;
};

struct EmbedOptions {
  Normalization normalization;
  int64_t batch_size = 64;  // images of one forward pass
  // Forward passes at once, each confined to its thread. LibTorch's own threads would split every layer and wait for
  // each other by spinning, which takes several times as long where the cores are not theirs alone.
  int threads = 1;
};

// Where a range of n images goes; rows count from the range's first image. Empty spans are not wanted.
struct EmbeddedRows {
  absl::Span<float> originals;  // n×D
  absl::Span<float> flips;      // n×D, of the mirror images
  absl::Span<int64_t> labels;   // n
  // n: why an image could not be read, whose rows are then nobody's (DataLoss only). Not wanted: it is the error.
  absl::Span<absl::Status> damaged;
};

// Images [begin, end) of `source`. Changes nothing in the backbone; batches, and so the bits of the results, do not
// depend on the number of threads. Errors of ImageSource::Read, the first image's; of Backbone::Forward.
absl::Status EmbedRange(Backbone* backbone, const ImageSource& source, const EmbedOptions& options, int64_t begin,
                        int64_t end, const EmbeddedRows& rows);

}  // namespace arcshard::worker
