// What the executor's thread does for a ShardState: it chooses work under the lock and carries it out without it.
#include <cassert>
#include <optional>
#include <utility>
#include <variant>

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

absl::Status ShardState::RunOne() {
  std::optional<Work> chosen;
  {
    MutexLock lock(&mutex_);
    [[maybe_unused]] const bool has_work = HasWorkLocked();
    chosen = ChooseWork();
    assert(chosen.has_value() == has_work);
    if (!chosen.has_value()) return absl::OkStatus();
  }
  return std::visit([this](const auto& work) { return Do(work); }, *chosen);
}

bool ShardState::HasWorkLocked() const {
  if (!refusals_.empty() || unapplied_ != nullptr || checkpoint_.has_value()) return true;
  if (phase_ != Phase::kStep) return false;
  const OpenStep& step = open();
  return step.HasResend() || step.HasBegin(options_.deterministic) || step.HasGroup(options_.deterministic) ||
         step.ready_to_vote();
}

std::optional<Work> ShardState::ChooseWork() {
  if (!refusals_.empty()) return RefuseMessages{std::exchange(refusals_, {})};
  // Before pass 1 of the next step, which needs the new class centers.
  if (unapplied_ != nullptr) return ApplyDecision{unapplied_};
  if (checkpoint_.has_value()) {
    const uint64_t step = *checkpoint_;
    checkpoint_.reset();
    return TakeCheckpoint{view_.view, step};
  }
  if (phase_ != Phase::kStep) return std::nullopt;
  OpenStep& step = open();
  if (step.HasResend()) return ResendStatistics{&step, step.TakeResend()};
  if (step.HasBegin(options_.deterministic)) return BeginStep{undecided(), step.TakeBegin()};
  if (step.HasGroup(options_.deterministic)) {
    step.TakeGroup(options_.deterministic, &call_);
    return ForwardGroup{&step, &call_};
  }
  if (step.ready_to_vote()) return CastVote{step.Vote()};
  return std::nullopt;
}

absl::Status ShardState::Do(const RefuseMessages& work) {
  for (const Refusal& refusal : work.refusals) output_->Refuse(refusal.worker, refusal.key, refusal.why);
  return absl::OkStatus();
}

absl::Status ShardState::Do(const ApplyDecision& work) {
  // Without the lock: messages of a decided step are refused, so nothing writes its record.
  RETURN_IF_ERROR(applier_.Apply(*work.record, head()));
  {
    MutexLock lock(&mutex_);
    assert(unapplied_ == work.record);
    unapplied_ = nullptr;
  }
  output_->Applied(work.record->plan.step, *work.record->outcome);
  return absl::OkStatus();
}

absl::Status ShardState::Do(const TakeCheckpoint& work) {
  output_->TakeCheckpoint(work.view, work.step);
  return absl::OkStatus();
}

absl::Status ShardState::Do(const ResendStatistics& work) {
  SendStatistics(*work.step, work.micro_batch);
  return absl::OkStatus();
}

absl::Status ShardState::Do(const BeginStep& work) { return head()->Begin(work.step, work.labels); }

absl::Status ShardState::Do(const ForwardGroup& work) {
  GroupCall& call = *work.call;
  RETURN_IF_ERROR(head()->Forward(call.inputs, call.outputs));
  for (size_t i = 0; i < call.micro_batches.size(); ++i) {
    const head::MatrixView<const float>& embedding = call.inputs[i].embedding;
    const bool embedding_finite = AllFinite({embedding.data, static_cast<size_t>(embedding.size())});
    const bool z_finite = AllFinite(call.outputs[i].z);
    call.not_finite.push_back(!embedding_finite ? "embedding" : !z_finite ? "sum over negatives (z)" : nullptr);
    work.step->PackOwnCenters(call.micro_batches[i]);
  }
  {
    // Before the statistics are sent, because gradients may arrive while the rest is still being sent.
    MutexLock lock(&mutex_);
    work.step->FinishGroup(call);
  }
  for (const uint32_t micro_batch : call.micro_batches) SendStatistics(*work.step, micro_batch);
  return absl::OkStatus();
}

absl::Status ShardState::Do(const CastVote& work) {
  output_->VoteReady(work.vote);
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
