#include "worker/inference/embedding.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>

#include "ATen/Parallel.h"
#include "ATen/ops/flip.h"
#include "ATen/ops/from_blob.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"

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

// Keeps the error of the lowest batch that failed.
class FirstError {
 public:
  void Add(int64_t batch, const absl::Status& status) {
    MutexLock lock(&mutex_);
    if (batch >= batch_) return;
    batch_ = batch;
    status_ = status;
  }
  absl::Status Get() {
    MutexLock lock(&mutex_);
    return status_;
  }

 private:
  Mutex mutex_;
  int64_t batch_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<int64_t>::max();
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

// Runs `work` on this many new threads, in each of which LibTorch uses no others. LibTorch has one setting for the
// process with a copy in each thread, so it is restored afterwards.
void RunConfined(int threads, const std::function<void()>& work) {
  const int before = at::get_num_threads();
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&work] {
      at::set_num_threads(1);
      work();
    });
  }
  for (std::thread& thread : running) thread.join();
  at::set_num_threads(before);
}

}  // namespace

absl::Status EmbedRange(Backbone* backbone, const ImageSource& source, const EmbedOptions& options, int64_t begin,
                        int64_t end, const EmbeddedRows& rows) {
  const int64_t batches = (end - begin + options.batch_size - 1) / options.batch_size;
  std::atomic<int64_t> next = 0;
  std::atomic<bool> failed = false;
  FirstError error;
  // Batches are taken in order, so all before one that fails have been taken, and are finished.
  const auto work = [&] {
    Embedder embedder(backbone, source, options, rows);
    for (int64_t batch; !failed && (batch = next++) < batches;) {
      const int64_t first = begin + batch * options.batch_size;
      const absl::Status status = embedder.Embed(first, std::min(first + options.batch_size, end), first - begin);
      if (status.ok()) continue;
      error.Add(batch, status);
      failed = true;
    }
  };
  const int threads = static_cast<int>(std::min<int64_t>(options.threads, batches));
  if (threads > 0) RunConfined(threads, work);
  return error.Get();
}

}  // namespace arcshard::worker
