#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/protocol/types.h"
#include "shard_server/head/matrix.h"

namespace arcshard::shard {

// Labels and embeddings that came before their step is known here: a worker that has the coordinator's word earlier
// than this shard. Bounded by what one step holds; the buffers are reused. Thread-compatible.
class WaitingMessages {
 public:
  enum class Kind { kLabels, kEmbedding };
  struct Message {
    Kind kind = Kind::kLabels;
    uint32_t worker = 0;
    Key key;
    std::vector<int64_t> labels;   // B, of kLabels
    std::vector<float> embedding;  // rows×D, of kEmbedding
    int64_t rows = 0;
  };

  // max_samples: of the labels that wait, and of the embeddings. max_embeddings_per_worker: micro-batches in flight.
  WaitingMessages(int64_t max_samples, uint32_t max_embeddings_per_worker)
      : max_samples_(max_samples), max_embeddings_per_worker_(max_embeddings_per_worker) {}

  // A repeat of what waits already is accepted. AlreadyExists: it has other bytes. ResourceExhausted: no more may wait.
  absl::Status AddLabels(uint32_t worker, const Key& key, absl::Span<const int64_t> labels);
  absl::Status AddEmbedding(uint32_t worker, const Key& key, head::MatrixView<const float> embedding);

  // The first message of an older view, or of `view` up to `step`, in order of arrival; null when there is none. Give
  // it back with Recycle.
  std::unique_ptr<Message> TakeNext(const View& view, uint64_t step);
  void Recycle(std::unique_ptr<Message> message);

  size_t size() const { return waiting_.size(); }

 private:
  const Message* Find(Kind kind, uint32_t worker, const Key& key) const;
  absl::Status CheckRoom(Kind kind, uint32_t worker, const Key& key, int64_t samples) const;
  std::unique_ptr<Message> NewMessage(Kind kind, uint32_t worker, const Key& key);

  const int64_t max_samples_;
  const uint32_t max_embeddings_per_worker_;
  std::vector<std::unique_ptr<Message>> waiting_;
  std::vector<std::unique_ptr<Message>> free_labels_;
  std::vector<std::unique_ptr<Message>> free_embeddings_;
};

}  // namespace arcshard::shard
