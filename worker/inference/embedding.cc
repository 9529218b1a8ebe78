#include "worker/inference/embedding.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "ATen/ops/flip.h"
#include "ATen/ops/from_blob.h"
#include "common/base/status_macros.h"
#include "worker/inference/batches.h"

namespace arcshard::worker {
namespace {

// Embeds batch after batch with the same buffers. One for each thread.
class Embedder {
 public:
  Embedder(Backbone* backbone, const ImageSource& source, const EmbedOptions& options, const EmbeddedRows& rows)
      : backbone_(backbone), source_(source), options_(options), rows_(rows) {}

  // Images [begin, end) into rows from `row` on.
  absl::Status Embed(int64_t begin, int64_t end, int64_t row) {
    const int size = static_cast<int>(backbone_->options().image_size);
    const int64_t floats = int64_t{3} * size * size, count = end - begin;
    pixels_.assign(count * floats, 0.0f);
    for (int64_t i = 0; i < count; ++i) {
      const absl::StatusOr<LabeledImage> read = source_.Read(begin + i, size, &buffers_);
      if (!read.ok() && (rows_.damaged.empty() || !absl::IsDataLoss(read.status()))) return read.status();
      if (!rows_.damaged.empty()) rows_.damaged[row + i] = read.status();
      if (!read.ok()) continue;
      if (!rows_.labels.empty()) rows_.labels[row + i] = read->label;
      NormalizeImage(*read->image, options_.normalization, pixels_.data() + i * floats);
    }
    const at::Tensor images = at::from_blob(pixels_.data(), {count, 3, size, size}, at::kFloat);
    RETURN_IF_ERROR(Forward(images, row, rows_.originals));
    return rows_.flips.empty() ? absl::OkStatus() : Forward(at::flip(images, {3}), row, rows_.flips);
  }

 private:
  absl::Status Forward(const at::Tensor& images, int64_t row, absl::Span<float> out) {
    ASSIGN_OR_RETURN(const at::Tensor embedding, backbone_->Forward(images, ForwardContext{}));
    const at::Tensor values = embedding.cpu().contiguous();
    std::memcpy(out.data() + row * values.size(1), values.const_data_ptr<float>(), values.numel() * sizeof(float));
    return absl::OkStatus();
  }

  Backbone* const backbone_;
  const ImageSource& source_;
  const EmbedOptions& options_;
  const EmbeddedRows& rows_;
  SampleBuffers buffers_;
  std::vector<float> pixels_;
};

}  // namespace

absl::Status EmbedRange(Backbone* backbone, const ImageSource& source, const EmbedOptions& options, int64_t begin,
                        int64_t end, const EmbeddedRows& rows) {
  const int64_t images = end - begin, batches = (images + options.batch_size - 1) / options.batch_size;
  const auto new_work = [&]() -> BatchWork {
    const auto embedder = std::make_shared<Embedder>(backbone, source, options, rows);
    return [&options, embedder, begin, end](int64_t batch) {
      const int64_t first = begin + batch * options.batch_size;
      return embedder->Embed(first, std::min(first + options.batch_size, end), first - begin);
    };
  };
  if (!options.after_batch) return RunBatches(options.threads, batches, new_work, nullptr);
  return RunBatches(options.threads, batches, new_work, [&options, images](int64_t done) {
    return options.after_batch(std::min(done * options.batch_size, images));
  });
}

}  // namespace arcshard::worker
