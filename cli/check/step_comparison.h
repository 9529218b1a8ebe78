#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "client/shard_link.h"
#include "common/base/mutex.h"
#include "common/protocol/types.h"
#include "shard_server/state/log/replay_record.h"

namespace arcshard::cli {

// Compares what workers send to shards with the record of the step, bit by bit. Thread-safe.
class StepComparison {
 public:
  // Forgets the step before.
  void Begin(std::shared_ptr<const shard::ReplayRecord> record);

  void TakeLabels(const Key& key, absl::Span<const int64_t> labels);
  void TakeEmbedding(const Key& key, absl::Span<const float> embedding);
  void TakeGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t);

  // The first micro-batch of the step that differs, and in what; empty: none does.
  std::string difference() const;

 private:
  template <typename T>
  void Compare(uint32_t micro_batch, const char* what, absl::Span<const T> recorded, absl::Span<const T> computed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  std::shared_ptr<const shard::ReplayRecord> record_ ABSL_GUARDED_BY(mutex_);
  uint32_t micro_batch_ ABSL_GUARDED_BY(mutex_) = 0;  // of the difference
  std::string difference_ ABSL_GUARDED_BY(mutex_);
};

// A link that shows what passes through it to a comparison, which outlives it.
class ComparedLink final : public client::ShardLink {
 public:
  ComparedLink(std::unique_ptr<client::ShardLink> link, StepComparison* comparison)
      : link_(std::move(link)), comparison_(comparison) {}

  void SendLabels(const Key& key, absl::Span<const int64_t> labels) override {
    comparison_->TakeLabels(key, labels);
    link_->SendLabels(key, labels);
  }
  void SendEmbedding(const Key& key, absl::Span<const float> embedding) override {
    comparison_->TakeEmbedding(key, embedding);
    link_->SendEmbedding(key, embedding);
  }
  void SendGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t) override {
    comparison_->TakeGradient(key, r, t);
    link_->SendGradient(key, r, t);
  }

 private:
  const std::unique_ptr<client::ShardLink> link_;
  StepComparison* const comparison_;
};

}  // namespace arcshard::cli
