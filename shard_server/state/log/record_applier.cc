#include "shard_server/state/log/record_applier.h"

#include <cassert>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard::shard {

absl::Span<const head::Group> RecordApplier::GroupsOf(const ReplayRecord& record, int64_t dim) {
  if (groups_.size() < record.groups.size()) groups_.resize(record.groups.size());
  for (size_t g = 0; g < record.groups.size(); ++g) {
    groups_[g].clear();
    for (const uint32_t i : record.groups[g]) {
      const MicroBatchRecord& micro_batch = record.micro_batches[i];
      const int64_t rows = static_cast<int64_t>(micro_batch.labels.size());
      const head::MatrixView<const float> embedding{micro_batch.embedding.data(), rows, dim};
      groups_[g].push_back({{embedding, micro_batch.labels}, micro_batch.r, micro_batch.t});
    }
  }
  return {groups_.data(), record.groups.size()};
}

absl::Status RecordApplier::FormGradient(const ReplayRecord& record, head::Head* head, absl::FunctionRef<bool()> stop) {
  return head->FormGradient(GroupsOf(record, head->options().dim), stop);
}

absl::Status RecordApplier::Apply(const ReplayRecord& record, head::Head* head) {
  assert(record.outcome.has_value());
  if (record.outcome == Outcome::kSkip) {
    head->Discard();
    return absl::OkStatus();
  }
  return head->Update(GroupsOf(record, head->options().dim), static_cast<float>(record.lr));
}

absl::Status RecordApplier::Replay(const ReplayRecord& record, head::Head* head) {
  if (record.outcome == Outcome::kCommit) {
    labels_.clear();
    if (head->options().sample_rate < 1.0) AppendLabels(record, &labels_);
    RETURN_IF_ERROR(head->Begin(record.plan.step, labels_));
  }
  return Apply(record, head);
}

void AppendLabels(const ReplayRecord& record, std::vector<int64_t>* labels) {
  for (size_t i = 0; i < record.plan.micro_batch_sizes.size(); ++i) {
    const std::vector<int64_t>& more = record.micro_batches[i].labels;
    labels->insert(labels->end(), more.begin(), more.end());
  }
}

absl::Status CheckReceived(const ReplayRecord& record, int64_t dim) {
  const auto wrong = [&record](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat("the record of step ", record.plan.step, " ", what...));
  };
  if (!record.outcome.has_value()) return wrong("is undecided");
  if (record.after.step != record.plan.step) return wrong("leads to a state after step ", record.after.step);
  if (record.outcome == Outcome::kSkip) return absl::OkStatus();
  const size_t planned = record.plan.micro_batch_sizes.size();
  if (record.micro_batches.size() < planned) {
    return wrong("has ", record.micro_batches.size(), " micro-batches of ", planned);
  }
  for (size_t i = 0; i < planned; ++i) {
    const MicroBatchRecord& micro_batch = record.micro_batches[i];
    const size_t size = record.plan.micro_batch_sizes[i];
    if (micro_batch.labels.size() != size || micro_batch.r.size() != size || micro_batch.t.size() != size ||
        micro_batch.embedding.size() != size * static_cast<size_t>(dim)) {
      return wrong("lacks inputs of micro-batch ", i, ", or has more than the ", size, " samples of the plan");
    }
  }
  std::vector<bool> grouped(planned, false);
  size_t count = 0;
  for (const std::vector<uint32_t>& group : record.groups) {
    for (const uint32_t i : group) {
      if (i >= planned || grouped[i]) return wrong("has micro-batch ", i, " in no place of its own among its groups");
      grouped[i] = true;
      ++count;
    }
  }
  if (count != planned) return wrong("has groups of ", count, " micro-batches, the plan has ", planned);
  return absl::OkStatus();
}

}  // namespace arcshard::shard
