#include "shard_server/state/shard_state.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard::shard {

ShardState::ShardState(const Options& options, ShardOutput* output)
    : options_(options), output_(output), waiting_(options.batch_size, options.max_in_flight) {}

absl::Status ShardState::JoinView(const ViewAnnouncement& view, head::Head* head) {
  MutexLock lock(&mutex_);
  if (phase_ != Phase::kUnjoined) {
    if (view == view_) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(ToString(view.view), " was announced, but this shard is in ",
                                                      ToString(view_.view), " and a run has one view"));
  }
  RETURN_IF_ERROR(CheckAnnouncement(view, head->options()));
  view_ = view;
  decisions_.Start(view.view, view.last_decided_step);
  head_ = head;
  phase_ = Phase::kBetween;
  TakeWaiting();
  work_.NotifyOne();
  return absl::OkStatus();
}

absl::Status ShardState::Decide(const Decision& decision) {
  MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CheckView(decision.view, absl::StrCat("the decision of step ", decision.step)));
  ASSIGN_OR_RETURN(const DecisionHistory::Order order, decisions_.Check(decision));
  if (order == DecisionHistory::Order::kRepeated) return absl::OkStatus();
  const bool is_first = !decisions_.started();
  if (!is_first && (phase_ != Phase::kStep || !open().voted())) {
    return absl::FailedPreconditionError(
        absl::StrCat("the decision of step ", decision.step, " came before this shard was ready for it"));
  }
  if (!std::isfinite(decision.lr) || decision.lr < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the decision of step ", decision.step, " has a learning rate of ", decision.lr));
  }
  RETURN_IF_ERROR(CheckNext(decision.next, decision.step + 1));

  assert(unapplied_ == nullptr);  // the executor voted after it had applied the step before
  decisions_.Add(decision);
  if (!is_first) unapplied_ = log_.Decide(decision);
  Enter(decision.next);
  work_.NotifyOne();
  return absl::OkStatus();
}

absl::Status ShardState::Proceed(const View& view, const Next& next) {
  MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CheckView(view, "the message to proceed"));
  if (phase_ == Phase::kStep && next.action == NextAction::kStep && next.plan == open().record().plan) {
    return absl::OkStatus();
  }
  if (phase_ != Phase::kBetween || !decisions_.started()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the message to proceed came, but no evaluation followed step ", undecided() - 1));
  }
  RETURN_IF_ERROR(CheckNext(next, undecided()));
  Enter(next);
  work_.NotifyOne();
  return absl::OkStatus();
}

absl::Status ShardState::Hello(uint32_t worker, const View& view) {
  MutexLock lock(&mutex_);
  if (view < view_.view) return CheckView(view, absl::StrCat("the hello of worker ", worker));
  if (view > view_.view) return absl::OkStatus();  // its messages wait
  const bool member = std::any_of(view_.workers.begin(), view_.workers.end(),
                                  [worker](const WorkerMember& other) { return other.id == worker; });
  if (!member) return absl::InvalidArgumentError(absl::StrCat(ToString(view), " has no worker ", worker));
  return absl::OkStatus();
}

absl::Status ShardState::Labels(uint32_t worker, const Key& key, absl::Span<const int64_t> labels) {
  MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const Turn turn, CheckTurn(key));
  if (turn == Turn::kWaits) return waiting_.AddLabels(worker, key, labels);
  RETURN_IF_ERROR(CheckPlace(worker, key));
  RETURN_IF_ERROR(open().AddLabels(key, labels));
  work_.NotifyOne();
  return absl::OkStatus();
}

absl::Status ShardState::Embedding(uint32_t worker, const Key& key, head::MatrixView<const float> embedding) {
  MutexLock lock(&mutex_);
  if (embedding.cols != options_.dim) {
    return absl::InvalidArgumentError(absl::StrCat("the embedding of ", ToString(key), " from worker ", worker, " has ",
                                                   embedding.cols, " dimensions, the run has ", options_.dim));
  }
  ASSIGN_OR_RETURN(const Turn turn, CheckTurn(key));
  if (turn == Turn::kWaits) return waiting_.AddEmbedding(worker, key, embedding);
  RETURN_IF_ERROR(CheckPlace(worker, key));
  RETURN_IF_ERROR(open().AddEmbedding(key, worker, embedding, options_.max_in_flight));
  work_.NotifyOne();
  return absl::OkStatus();
}

absl::Status ShardState::Gradient(uint32_t worker, const Key& key, absl::Span<const float> r,
                                  absl::Span<const float> t) {
  MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const Turn turn, CheckTurn(key));
  if (turn == Turn::kWaits) {
    return absl::FailedPreconditionError(absl::StrCat("the gradient of ", ToString(key), " from worker ", worker,
                                                      " came before its statistics were sent"));
  }
  RETURN_IF_ERROR(CheckPlace(worker, key));
  RETURN_IF_ERROR(open().AddGradient(key, r, t));
  work_.NotifyOne();
  return absl::OkStatus();
}

ShardState::Decided ShardState::decided() const {
  MutexLock lock(&mutex_);
  return {decisions_.started(), decisions_.last_step(), decisions_.lineage()};
}

ShardState::Load ShardState::load() const {
  MutexLock lock(&mutex_);
  Load load{.early = waiting_.size(), .replay_bytes = log_.bytes()};
  if (phase_ == Phase::kStep) {
    load.in_flight = open().in_flight();
    load.queued = open().queued();
  }
  for (const OpenStep& step : steps_) load.repeats += step.repeats();
  return load;
}

absl::Status ShardState::CheckAnnouncement(const ViewAnnouncement& view, const head::HeadOptions& held) const {
  const auto self = std::find_if(view.shards.begin(), view.shards.end(),
                                 [this](const ShardMember& shard) { return shard.id == options_.id; });
  if (self == view.shards.end()) {
    return absl::InvalidArgumentError(absl::StrCat(ToString(view.view), " does not name shard ", options_.id));
  }
  if (self->range != held.range || view.num_classes != held.num_classes || options_.dim != held.dim) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToString(view.view), " gives classes [", self->range.begin, ", ", self->range.end, ") of ",
                     view.num_classes, ", ", options_.dim, " dimensions, but the head holds [", held.range.begin, ", ",
                     held.range.end, ") of ", held.num_classes, ", ", held.dim, " dimensions"));
  }
  if (view.workers.empty()) return absl::InvalidArgumentError(absl::StrCat(ToString(view.view), " has no workers"));
  if (view.view <= View{}) return absl::InvalidArgumentError("views are numbered from 1.1");
  if (view.last_decided_step != 0 && view.checkpoint.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(ToString(view.view), " continues after step ",
                                                      view.last_decided_step, ", which this shard does not hold"));
  }
  return absl::OkStatus();
}

absl::Status ShardState::CheckView(const View& view, absl::string_view what) const {
  if (view == view_.view && phase_ != Phase::kUnjoined) return absl::OkStatus();
  const std::string is = absl::StrCat(what, " is of ", ToString(view));
  if (phase_ == Phase::kUnjoined) {
    return absl::FailedPreconditionError(absl::StrCat(is, ", but this shard has joined no view yet"));
  }
  return absl::FailedPreconditionError(absl::StrCat(is, ", but this shard is in ", ToString(view_.view)));
}

absl::Status ShardState::CheckNext(const Next& next, uint64_t step) const {
  if (next.action != NextAction::kStep) return absl::OkStatus();
  if (next.plan.step != step) {
    return absl::InvalidArgumentError(
        absl::StrCat("step ", step, " is next, but the plan is of step ", next.plan.step));
  }
  uint64_t samples = 0;
  for (size_t i = 0; i < next.plan.micro_batch_sizes.size(); ++i) {
    if (next.plan.micro_batch_sizes[i] == 0) {
      return absl::InvalidArgumentError(absl::StrCat("micro-batch ", i, " of the plan of step ", step, " is empty"));
    }
    samples += next.plan.micro_batch_sizes[i];
  }
  if (samples == 0 || samples > options_.batch_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("the plan of step ", step, " has ", samples, " samples, outside [1, ", options_.batch_size, "]"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ShardState::Turn> ShardState::CheckTurn(const Key& key) const {
  if (key.step == 0)
    return absl::InvalidArgumentError(absl::StrCat("steps are numbered from 1, but the key is ", ToString(key)));
  if (key.view < view_.view) return CheckView(key.view, absl::StrCat("the key of ", ToString(key)));
  if (phase_ == Phase::kStopped)
    return absl::AbortedError(absl::StrCat("the run has stopped; ", ToString(key), " came too late"));
  const uint64_t current = undecided();
  if (key.step < current) {
    return absl::FailedPreconditionError(
        absl::StrCat(ToString(key), " was decided already: step ", current - 1, " was the last"));
  }
  // Accepted are the open step and the one after it; between two steps only the next one, whose plan is not known yet.
  if (key.step > current + (phase_ == Phase::kStep ? 1 : 0)) {
    return absl::FailedPreconditionError(
        absl::StrCat(ToString(key), " is too early: step ", current - 1, " is the last that was decided"));
  }
  return key.view == view_.view && phase_ == Phase::kStep && key.step == current ? Turn::kNow : Turn::kWaits;
}

absl::Status ShardState::CheckPlace(uint32_t worker, const Key& key) const {
  const size_t micro_batches = open().num_micro_batches();
  if (key.micro_batch >= micro_batches) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToString(key), " is not in the plan: the step has ", micro_batches, " micro-batches"));
  }
  const uint32_t owner = view_.workers[WorkerOfMicroBatch(key.micro_batch, view_.workers.size())].id;
  if (worker != owner) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToString(key), " came from worker ", worker, ", but it is worker ", owner, "'s"));
  }
  uint32_t attempt = 0;
  for (const Standing& standing : view_.standing) {
    if (standing.micro_batch == key.micro_batch) attempt = standing.attempt;
  }
  if (key.attempt != attempt) {
    return absl::FailedPreconditionError(
        absl::StrCat(ToString(key), " is not the current attempt, which is ", attempt));
  }
  return absl::OkStatus();
}

void ShardState::Enter(const Next& next) {
  const uint64_t step = undecided();
  if (next.checkpoint) checkpoint_ = step - 1;
  switch (next.action) {
    case NextAction::kStep:
      phase_ = Phase::kStep;
      // Keeps the last decided record, which pass 2 may be reading.
      assert(unapplied_ == nullptr || unapplied_->plan.step + 1 == step);
      log_.ReleaseBefore(step - 1);
      open().Open(log_.Append(view_.view, next.plan), head_->options());
      TakeWaiting();
      return;
    case NextAction::kEvaluate:
      phase_ = Phase::kBetween;
      return;
    case NextAction::kStop:
      phase_ = Phase::kStopped;
      return;
  }
}

void ShardState::TakeWaiting() {
  const uint64_t step = phase_ == Phase::kStep ? undecided() : 0;
  while (std::unique_ptr<WaitingMessages::Message> message = waiting_.TakeNext(view_.view, step)) {
    if (absl::Status status = TakeOne(*message); !status.ok()) {
      refusals_.push_back({message->worker, message->key, std::move(status)});
    }
    waiting_.Recycle(std::move(message));
  }
}

absl::Status ShardState::TakeOne(const WaitingMessages::Message& message) {
  RETURN_IF_ERROR(CheckTurn(message.key).status());
  RETURN_IF_ERROR(CheckPlace(message.worker, message.key));
  if (message.kind == WaitingMessages::Kind::kLabels) return open().AddLabels(message.key, message.labels);
  return open().AddEmbedding(message.key, message.worker, {message.embedding.data(), message.rows, options_.dim},
                             options_.max_in_flight);
}

}  // namespace arcshard::shard
