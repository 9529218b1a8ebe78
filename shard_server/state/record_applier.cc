#include "shard_server/state/record_applier.h"

#include <cassert>
#include <cstdint>

namespace arcshard::shard {

absl::Status RecordApplier::Apply(const ReplayRecord& record, head::Head* head) {
  assert(record.outcome.has_value());
  if (record.outcome == Outcome::kSkip) {
    head->Discard();
    return absl::OkStatus();
  }
  if (groups_.size() < record.groups.size()) groups_.resize(record.groups.size());
  for (size_t g = 0; g < record.groups.size(); ++g) {
    groups_[g].clear();
    for (const uint32_t i : record.groups[g]) {
      const MicroBatchRecord& micro_batch = record.micro_batches[i];
      const int64_t rows = static_cast<int64_t>(micro_batch.labels.size());
      const head::MatrixView<const float> embedding{micro_batch.embedding.data(), rows, head->options().dim};
      groups_[g].push_back({{embedding, micro_batch.labels}, micro_batch.r, micro_batch.t});
    }
  }
  return head->Update(absl::MakeConstSpan(groups_.data(), record.groups.size()), static_cast<float>(record.lr));
}

}  // namespace arcshard::shard
