#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/protocol/types.h"
#include "shard_server/head/matrix.h"

namespace arcshard::shard {

// Labels and embeddings whose step or view is not known here yet, because their worker received the coordinator's
// message earlier than this shard. At most as many wait as one step holds; buffers are reused. Thread-compatible.
class WaitingMessages {
 public:
  enum class Kind { kLabels, kEmbedding };
  struct Message {
    Kind kind = Kind::kLabels;
    uint32_t worker = 0;
    Key key;
    std::vector<int64_t> labels;   // B, for kLabels
    std::vector<float> embedding;  // rows×D, for kEmbedding
    int64_t rows = 0;
  };

  // `max_samples` bounds the samples of all waiting labels, and likewise of all waiting embeddings;
  // `max_embeddings_per_worker` the embeddings of one worker.
  WaitingMessages(int64_t max_samples, uint32_t max_embeddings_per_worker)
      : max_samples_(max_samples), max_embeddings_per_worker_(max_embeddings_per_worker) {}

  // Each keeps a message; a repeat of a waiting one is accepted. AlreadyExists: the repeat has other bytes.
  // InvalidArgument: the message has no samples. ResourceExhausted: a bound would be exceeded.
  absl::Status AddLabels(uint32_t worker, const Key& key, absl::Span<const int64_t> labels);
  absl::Status AddEmbedding(uint32_t worker, const Key& key, head::MatrixView<const float> embedding);

  // Removes all messages of views before `view`, which is a new one.
  void DropBefore(const View& view);

  // Removes and returns the earliest message of `view` that cannot wait any longer while `step` is open, because it is
  // not of the step after it; null when there is none. Pass it to Recycle afterwards.
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
