#include "worker/data/dataset.h"

#include "common/base/status_macros.h"

namespace arcshard::worker {

absl::StatusOr<LabeledImage> EncodedDataset::Read(int64_t sample, int side, SampleBuffers* buffers) const {
  RETURN_IF_ERROR(ReadEncoded(sample, &buffers->encoded));
  const Image* image = nullptr;
  const absl::Status status = buffers->reader.Read(buffers->encoded.image(), side, &image);
  if (!status.ok()) return Annotate(status, NameOf(sample));
  return LabeledImage{buffers->encoded.label, image};
}

}  // namespace arcshard::worker
