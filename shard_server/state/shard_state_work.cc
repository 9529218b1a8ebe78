// What the executor's thread does for a ShardState: it chooses work under the lock and carries it out without it.
#include <cassert>
#include <optional>
#include <utility>
#include <variant>

#include "common/base/status_macros.h"
#include "shard_server/state/shard_state.h"
#include "shard_server/state/step/bytes.h"

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

void ShardState::Reopen() {
  MutexLock lock(&mutex_);
  closed_ = false;
}

absl::Status ShardState::RunOne() {
  std::optional<Work> chosen;
  {
    MutexLock lock(&mutex_);
    [[maybe_unused]] const bool has_work = HasWorkLocked();
    chosen = ChooseWork();
    assert(chosen.has_value() == has_work);
    if (!chosen.has_value()) return absl::OkStatus();
    working_ = true;
  }
  absl::Status status = std::visit([this](const auto& work) { return Do(work); }, *chosen);
  MutexLock lock(&mutex_);
  working_ = false;
  active_at_ = options_.clock->Now();
  return status;
}

bool ShardState::HasWorkLocked() const {
  if (!refusals_.empty() || unapplied_ != nullptr || checkpoint_.has_value()) return true;
  if (phase_ == Phase::kJoining) return void_ || rebuild_.Next(decisions_.point()) != Rebuild::Step::kWait;
  if (phase_ != Phase::kStep) return false;
  const OpenStep& step = open();
  return step.HasResend() || step.HasBegin(options_.deterministic) || step.HasGroup(options_.deterministic) ||
         (step.ready_to_vote() && !log_.HoldsVoteBack()) || step.HasGradient();
}

std::optional<Work> ShardState::ChooseWork() {
  if (!refusals_.empty()) return RefuseMessages{std::exchange(refusals_, {})};
  // Before pass 1 of the next step, which needs the new class centers, and before a new view's state.
  if (unapplied_ != nullptr) return ApplyDecision{unapplied_};
  if (checkpoint_.has_value()) return *std::exchange(checkpoint_, std::nullopt);
  if (phase_ == Phase::kJoining) return ChooseJoining();
  if (phase_ == Phase::kStep) return ChooseInStep();
  return std::nullopt;
}

std::optional<Work> ShardState::ChooseInStep() {
  OpenStep& step = open();
  if (step.HasResend()) return ResendStatistics{&step, step.TakeResend()};
  if (step.HasBegin(options_.deterministic)) return BeginStep{undecided(), step.TakeBegin()};
  if (step.HasGroup(options_.deterministic)) {
    step.TakeGroup(options_.deterministic, &call_);
    return ForwardGroup{&step, &call_};
  }
  if (step.ready_to_vote() && !log_.HoldsVoteBack()) {
    CastVote work{step.Vote()};
    log_.Describe(&work.vote);
    return work;
  }
  if (step.HasGradient()) return FormGradient{step.TakeGradient()};
  return std::nullopt;
}

std::optional<Work> ShardState::ChooseJoining() {
  if (void_) return VoidStep{&open()};
  const MonotonicTime now = options_.clock->Now();
  switch (rebuild_.Next(decisions_.point())) {
    case Rebuild::Step::kWait:
      return std::nullopt;
    case Rebuild::Step::kRestore:
      rebuild_.TakeRestore(now);
      decisions_.Forget();
      log_.Clear();
      return RestoreBase{view_};
    case Rebuild::Step::kAsk:
      return RequestReplay{view_, rebuild_.TakeRequest(*decisions_.point(), now)};
    case Rebuild::Step::kReplay:
      return ReplayStep{rebuild_.TakeRecord()};
    case Rebuild::Step::kGiveUp:
      return ReportLostPeers{rebuild_.TakeReport()};
    case Rebuild::Step::kDone:
      phase_ = Phase::kBetween;
      if (view_.last.has_value() && !decisions_.last().has_value()) {
        decisions_.Learn(*view_.last);
        counters_ = view_.last->counters;
      }
      return ReportJoined{rebuild_.TakeJoined(now)};
  }
  return std::nullopt;
}

absl::Status ShardState::Do(const RefuseMessages& work) {
  for (const Refusal& refusal : work.refusals) output_->Refuse(refusal.worker, refusal.key, refusal.why);
  return absl::OkStatus();
}

absl::Status ShardState::Do(const ApplyDecision& work) {
  // Without the lock: nothing changes the record of a decided step.
  const MonotonicTime begin = options_.clock->Now();
  RETURN_IF_ERROR(applier_.Apply(*work.record, head()));
  const absl::Duration pass_2 = options_.clock->Now() - begin;
  RETURN_IF_ERROR(output_->CarriedOut(work.record));
  {
    MutexLock lock(&mutex_);
    assert(unapplied_ == work.record);
    unapplied_.reset();
    if (work.record->outcome == Outcome::kCommit) log_.Computed(work.record->plan.step, pass_1_, gradient_ + pass_2);
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

absl::Status ShardState::Do(const BeginStep& work) {
  const MonotonicTime begin = options_.clock->Now();
  RETURN_IF_ERROR(head()->Begin(work.step, work.labels));
  pass_1_ = options_.clock->Now() - begin;
  gradient_ = absl::ZeroDuration();
  return absl::OkStatus();
}

absl::Status ShardState::Do(const ForwardGroup& work) {
  GroupCall& call = *work.call;
  const MonotonicTime begin = options_.clock->Now();
  RETURN_IF_ERROR(head()->Forward(call.inputs, call.outputs));
  pass_1_ += options_.clock->Now() - begin;
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

absl::Status ShardState::Do(const FormGradient& work) {
  const MonotonicTime begin = options_.clock->Now();
  RETURN_IF_ERROR(applier_.FormGradient(*work.record, head(), [this] {
    MutexLock lock(&mutex_);
    return HasWorkLocked() || closed_;
  }));
  gradient_ = options_.clock->Now() - begin;
  return absl::OkStatus();
}

absl::Status ShardState::Do(const VoidStep& work) {
  head()->Discard();
  MutexLock lock(&mutex_);
  work.step->Close();
  log_.Void();
  void_ = false;
  return absl::OkStatus();
}

absl::Status ShardState::Do(const RestoreBase& work) {
  RETURN_IF_ERROR(output_->RestoreBase(work.view));
  MutexLock lock(&mutex_);
  decisions_.MoveTo(work.view.base);
  log_.Restart(work.view.base);
  return absl::OkStatus();
}

absl::Status ShardState::Do(const RequestReplay& work) {
  output_->RequestReplay(work.view, work.request.peer, work.request.after, work.request.until);
  return absl::OkStatus();
}

absl::Status ShardState::Do(const ReplayStep& work) {
  const MonotonicTime begin = options_.clock->Now();
  RETURN_IF_ERROR(applier_.Replay(*work.record, head()));
  const absl::Duration took = options_.clock->Now() - begin;
  RETURN_IF_ERROR(output_->CarriedOut(work.record));
  {
    MutexLock lock(&mutex_);
    decisions_.MoveTo(work.record->after);
    log_.AddReplayed(work.record, took);
    ++replayed_;
  }
  output_->Replayed(work.record->after);
  return absl::OkStatus();
}

absl::Status ShardState::Do(const ReportJoined& work) {
  output_->Joined(work.report);
  return absl::OkStatus();
}

absl::Status ShardState::Do(const ReportLostPeers& work) {
  output_->LostPeers(work.report);
  return absl::OkStatus();
}

void ShardState::SendStatistics(const OpenStep& step, uint32_t micro_batch) {
  const ReplayRecord& record = step.record();
  {
    // A newer view voids the step, and the worker may have a stream of that view already.
    MutexLock lock(&mutex_);
    if (view_.view != record.view) return;
  }
  output_->SendStatistics(record.micro_batches[micro_batch].worker, record.key(micro_batch),
                          step.statistics(micro_batch));
}

head::Head* ShardState::head() const {
  MutexLock lock(&mutex_);
  return head_;
}

}  // namespace arcshard::shard
