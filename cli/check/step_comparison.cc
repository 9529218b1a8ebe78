#include "cli/check/step_comparison.h"

#include <cassert>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace arcshard::cli {

void StepComparison::Begin(std::shared_ptr<const shard::ReplayRecord> record) {
  MutexLock lock(&mutex_);
  record_ = std::move(record);
  difference_.clear();
}

void StepComparison::TakeLabels(const Key& key, absl::Span<const int64_t> labels) {
  MutexLock lock(&mutex_);
  Compare<int64_t>(key.micro_batch, "labels", record_->micro_batches[key.micro_batch].labels, labels);
}

void StepComparison::TakeEmbedding(const Key& key, absl::Span<const float> embedding) {
  MutexLock lock(&mutex_);
  Compare<float>(key.micro_batch, "embedding", record_->micro_batches[key.micro_batch].embedding, embedding);
}

void StepComparison::TakeGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t) {
  MutexLock lock(&mutex_);
  const shard::MicroBatchRecord& recorded = record_->micro_batches[key.micro_batch];
  Compare<float>(key.micro_batch, "r", recorded.r, r);
  Compare<float>(key.micro_batch, "t", recorded.t, t);
}

std::string StepComparison::difference() const {
  MutexLock lock(&mutex_);
  return difference_;
}

// Of a micro-batch the first difference counts: what follows is computed from it.
template <typename T>
void StepComparison::Compare(uint32_t micro_batch, const char* what, absl::Span<const T> recorded,
                             absl::Span<const T> computed) {
  const bool earlier = difference_.empty() || micro_batch < micro_batch_;
  if (!earlier) return;
  const std::string place = absl::StrCat("step ", record_->plan.step, ", micro-batch ", micro_batch, " of worker ",
                                         record_->micro_batches[micro_batch].worker, ": ", what);
  if (recorded.size() != computed.size()) {
    difference_ =
        absl::StrCat(place, " has ", recorded.size(), " values in the record, and ", computed.size(), " were computed");
    micro_batch_ = micro_batch;
    return;
  }
  for (size_t i = 0; i < recorded.size(); ++i) {
    if (std::memcmp(&recorded[i], &computed[i], sizeof(T)) == 0) continue;
    difference_ = absl::StrCat(place, " differs, first in value ", i, ": ", recorded[i], " is recorded, and ",
                               computed[i], " was computed");
    micro_batch_ = micro_batch;
    return;
  }
}

}  // namespace arcshard::cli
