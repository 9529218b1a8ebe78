#include "shard_server/state/step/waiting_messages.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "shard_server/state/step/bytes.h"

namespace arcshard::shard {

absl::Status WaitingMessages::AddLabels(uint32_t worker, const Key& key, absl::Span<const int64_t> labels) {
  if (const Message* earlier = Find(Kind::kLabels, worker, key)) {
    if (SameBytes<int64_t>(earlier->labels, labels)) return absl::OkStatus();
    return absl::AlreadyExistsError(
        absl::StrCat("the labels of ", ToString(key), " came before from worker ", worker, " with other values"));
  }
  RETURN_IF_ERROR(CheckRoom(Kind::kLabels, worker, key, static_cast<int64_t>(labels.size())));
  std::unique_ptr<Message> message = NewMessage(Kind::kLabels, worker, key);
  message->labels.assign(labels.begin(), labels.end());
  message->rows = static_cast<int64_t>(labels.size());
  waiting_.push_back(std::move(message));
  return absl::OkStatus();
}

absl::Status WaitingMessages::AddEmbedding(uint32_t worker, const Key& key, head::MatrixView<const float> embedding) {
  const absl::Span<const float> values(embedding.data, static_cast<size_t>(embedding.size()));
  if (const Message* earlier = Find(Kind::kEmbedding, worker, key)) {
    if (SameBytes<float>(earlier->embedding, values)) return absl::OkStatus();
    return absl::AlreadyExistsError(
        absl::StrCat("the embedding of ", ToString(key), " came before from worker ", worker, " with other values"));
  }
  RETURN_IF_ERROR(CheckRoom(Kind::kEmbedding, worker, key, embedding.rows));
  std::unique_ptr<Message> message = NewMessage(Kind::kEmbedding, worker, key);
  message->embedding.assign(values.begin(), values.end());
  message->rows = embedding.rows;
  waiting_.push_back(std::move(message));
  return absl::OkStatus();
}

std::unique_ptr<WaitingMessages::Message> WaitingMessages::TakeNext(const View& view, uint64_t step) {
  const auto first = std::find_if(waiting_.begin(), waiting_.end(), [&](const std::unique_ptr<Message>& message) {
    return message->key.view == view && message->key.step != step + 1;
  });
  if (first == waiting_.end()) return nullptr;
  std::unique_ptr<Message> message = std::move(*first);
  waiting_.erase(first);
  return message;
}

void WaitingMessages::DropBefore(const View& view) {
  const auto dropped = std::stable_partition(waiting_.begin(), waiting_.end(),
                                             [&](const auto& message) { return message->key.view >= view; });
  for (auto message = dropped; message != waiting_.end(); ++message) Recycle(std::move(*message));
  waiting_.erase(dropped, waiting_.end());
}

void WaitingMessages::Recycle(std::unique_ptr<Message> message) {
  (message->kind == Kind::kLabels ? free_labels_ : free_embeddings_).push_back(std::move(message));
}

const WaitingMessages::Message* WaitingMessages::Find(Kind kind, uint32_t worker, const Key& key) const {
  for (const std::unique_ptr<Message>& message : waiting_) {
    if (message->kind == kind && message->worker == worker && message->key == key) return message.get();
  }
  return nullptr;
}

absl::Status WaitingMessages::CheckRoom(Kind kind, uint32_t worker, const Key& key, int64_t samples) const {
  int64_t waiting_samples = 0;
  uint32_t embeddings = 0;  // of the worker
  for (const std::unique_ptr<Message>& message : waiting_) {
    if (message->kind != kind) continue;
    waiting_samples += message->rows;
    if (message->worker == worker) ++embeddings;
  }
  const char* const name = kind == Kind::kLabels ? "labels" : "embedding";
  if (samples == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the ", name, " of ", ToString(key), " from worker ", worker, " has no samples"));
  }
  if (samples > max_samples_ - waiting_samples) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the ", name, " of ", ToString(key), " from worker ", worker, " came too early: ", waiting_samples,
                     " samples already wait, and ", samples, " more exceed the ", max_samples_, " of a step"));
  }
  if (kind == Kind::kEmbedding && embeddings >= max_embeddings_per_worker_) {
    return absl::ResourceExhaustedError(absl::StrCat("the embedding of ", ToString(key), " from worker ", worker,
                                                     " is more than the ", max_embeddings_per_worker_,
                                                     " micro-batches that may await their statistics"));
  }
  return absl::OkStatus();
}

std::unique_ptr<WaitingMessages::Message> WaitingMessages::NewMessage(Kind kind, uint32_t worker, const Key& key) {
  std::vector<std::unique_ptr<Message>>& free = kind == Kind::kLabels ? free_labels_ : free_embeddings_;
  std::unique_ptr<Message> message;
  if (free.empty()) {
    message = std::make_unique<Message>();
  } else {
    message = std::move(free.back());
    free.pop_back();
  }
  message->kind = kind;
  message->worker = worker;
  message->key = key;
  return message;
}

}  // namespace arcshard::shard
