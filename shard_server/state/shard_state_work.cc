// What the executor's thread does for a ShardState: it chooses under the lock and computes without it.
#include <optional>
#include <utility>

#include "common/base/status_macros.h"
#include "shard_server/state/bytes.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::shard {

bool ShardState::WaitForWork() {
  MutexLock lock(&mutex_);
  while (!HasWorkLocked() && !closed_) work_.Wait(&mutex_);
  return HasWorkLocked();
}

bool ShardState::HasWork() const {
  MutexLock lock(&mutex_);
  return HasWorkLocked();
}

void ShardState::Close() {
  MutexLock lock(&mutex_);
  closed_ = true;
  work_.NotifyAll();
}

bool ShardState::HasWorkLocked() const {
  if (!refusals_.empty() || undone_ != nullptr || checkpoint_.has_value()) return true;
  if (phase_ != Phase::kStep) return false;
  const OpenStep& step = steps_[undecided() % 2];
  return step.HasResend() || step.HasBegin(options_.deterministic) || step.HasGroup(options_.deterministic) ||
         step.ready_to_vote();
}

absl::Status ShardState::RunOne() {
  OpenStep* update = nullptr;
  OpenStep* forward = nullptr;
  std::optional<absl::Span<const int64_t>> begin;
  std::optional<uint64_t> checkpoint;
  View view;
  uint64_t step = 0;
  std::vector<Refusal> refusals;
  int64_t resend = -1;
  ReadyVote vote;
  {
    MutexLock lock(&mutex_);
    if (!HasWorkLocked()) return absl::OkStatus();
    if (!refusals_.empty()) {
      refusals.swap(refusals_);
    } else if (undone_ != nullptr) {
      update = undone_;  // before pass 1 of the next step, which needs the new class centers
    } else if (checkpoint_.has_value()) {
      checkpoint.swap(checkpoint_);
      view = view_.view;
    } else if (open().HasResend()) {
      forward = &open();
      resend = forward->TakeResend();
    } else if (open().HasBegin(options_.deterministic)) {
      begin = open().TakeBegin();
      step = undecided();
    } else if (open().HasGroup(options_.deterministic)) {
      forward = &open();
      forward->TakeGroup(options_.deterministic, &call_);
    } else {
      vote = open().Vote();
    }
  }
  if (!refusals.empty()) {
    for (const Refusal& refusal : refusals) output_->Refuse(refusal.worker, refusal.key, refusal.why);
  } else if (update != nullptr) {
    return RunUpdate(update);
  } else if (checkpoint.has_value()) {
    output_->TakeCheckpoint(view, *checkpoint);
  } else if (resend >= 0) {
    SendStatistics(*forward, static_cast<uint32_t>(resend));
  } else if (begin.has_value()) {
    return head()->Begin(step, *begin);
  } else if (forward != nullptr) {
    return RunGroup(forward);
  } else {
    output_->VoteReady(vote);
  }
  return absl::OkStatus();
}

absl::Status ShardState::RunGroup(OpenStep* step) {
  RETURN_IF_ERROR(head()->Forward(call_.inputs, call_.outputs));
  for (size_t i = 0; i < call_.micro_batches.size(); ++i) {
    const head::MatrixView<const float>& embedding = call_.inputs[i].embedding;
    const bool embedding_finite = AllFinite({embedding.data, static_cast<size_t>(embedding.size())});
    const bool z_finite = AllFinite(call_.outputs[i].z);
    call_.not_finite.push_back(!embedding_finite ? "embedding" : !z_finite ? "sum over negatives (z)" : nullptr);
    step->PackOwnCenters(call_.micro_batches[i]);
  }
  {
    // Before they are sent: the answer to them may arrive while they still are.
    MutexLock lock(&mutex_);
    step->FinishGroup(call_);
  }
  for (const uint32_t micro_batch : call_.micro_batches) SendStatistics(*step, micro_batch);
  return absl::OkStatus();
}

absl::Status ShardState::RunUpdate(OpenStep* step) {
  // Nobody writes a decided record: its messages are refused by their step.
  const ReplayRecord& record = step->record();
  if (record.outcome == Outcome::kCommit) {
    if (update_groups_.size() < record.groups.size()) update_groups_.resize(record.groups.size());
    for (size_t g = 0; g < record.groups.size(); ++g) {
      update_groups_[g].clear();
      for (const uint32_t i : record.groups[g]) {
        const MicroBatchRecord& micro_batch = record.micro_batches[i];
        const int64_t rows = static_cast<int64_t>(micro_batch.labels.size());
        const head::MatrixView<const float> embedding{micro_batch.embedding.data(), rows, options_.dim};
        update_groups_[g].push_back({{embedding, micro_batch.labels}, micro_batch.r, micro_batch.t});
      }
    }
    RETURN_IF_ERROR(head()->Update(absl::MakeConstSpan(update_groups_.data(), record.groups.size()),
                                   static_cast<float>(record.lr)));
  } else {
    head()->Discard();
  }
  {
    MutexLock lock(&mutex_);
    undone_ = nullptr;
  }
  output_->Applied(record.plan.step, *record.outcome);
  return absl::OkStatus();
}

void ShardState::SendStatistics(const OpenStep& step, uint32_t micro_batch) {
  const MicroBatchRecord& record = step.record().micro_batches[micro_batch];
  output_->SendStatistics(record.worker, record.key, step.statistics(micro_batch));
}

head::Head* ShardState::head() const {
  MutexLock lock(&mutex_);
  return head_;
}

}  // namespace arcshard::shard
