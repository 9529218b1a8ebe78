#include "shard_server/state/shard_state.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard::shard {

ShardState::ShardState(const Options& options, ShardOutput* output)
    : options_(options),
      output_(output),
      log_({.bytes = options.log_bytes, .recovery_target = options.recovery_target}),
      rebuild_(options.id, options.dim),
      waiting_(options.batch_size, options.max_in_flight) {
  assert(options.clock != nullptr);
}

absl::Status ShardState::Decide(const Decision& decision) {
  MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CheckView(decision.view, absl::StrCat("the decision of step ", decision.step)));
  if (!installed_.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat("the decision of step ", decision.step, " came before ",
                                                      ToString(view_.view), " was installed on this shard"));
  }
  ASSIGN_OR_RETURN(const DecisionHistory::Order order, decisions_.Check(decision));
  if (order == DecisionHistory::Order::kRepeated) return absl::OkStatus();
  if (phase_ != Phase::kStep || !open().voted()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the decision of step ", decision.step, " came before this shard was ready for it"));
  }
  if (!std::isfinite(decision.lr) || decision.lr < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the decision of step ", decision.step, " has a learning rate of ", decision.lr));
  }
  RETURN_IF_ERROR(CheckNext(decision.next, decision.step + 1));
  AddDecision(decision);
  Enter(decision.next);
  work_.NotifyOne();
  return absl::OkStatus();
}

void ShardState::AddDecision(const Decision& decision) {
  assert(phase_ == Phase::kStep && open().voted());
  // The executor voted after it had applied the step before and taken the checkpoint of its state.
  assert(unapplied_ == nullptr && !checkpoint_.has_value());
  decisions_.Add(decision);
  unapplied_ = log_.Decide(decision);
  counters_ = decision.counters;
}

absl::Status ShardState::Proceed(const arcshard::Proceed& proceed) {
  MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CheckView(proceed.view, "the message to proceed"));
  const Next& next = proceed.next;
  if (!installed_.has_value() && next.action == NextAction::kStop) return absl::OkStatus();
  if (phase_ == Phase::kStep && next.action == NextAction::kStep && next.plan == open().record().plan) {
    return absl::OkStatus();
  }
  if (phase_ != Phase::kBetween || !installed_.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the message to proceed came, but no evaluation followed step ", undecided() - 1));
  }
  RETURN_IF_ERROR(CheckNext(next, undecided()));
  counters_ = proceed.counters;
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
  active_at_ = options_.clock->Now();
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
  active_at_ = options_.clock->Now();
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
  active_at_ = options_.clock->Now();
  work_.NotifyOne();
  return absl::OkStatus();
}

ShardState::Load ShardState::load() const {
  MutexLock lock(&mutex_);
  Load load{.early = waiting_.size(),
            .log_steps = log_.steps(),
            .log_bytes = log_.bytes(),
            .replay_seconds = absl::ToDoubleSeconds(log_.replay_time()),
            .replayed = replayed_};
  if (phase_ == Phase::kStep) {
    load.in_flight = open().in_flight();
    load.queued = open().queued();
  }
  for (const OpenStep& step : steps_) load.repeats += step.repeats();
  return load;
}

Waiting ShardState::waiting() const {
  MutexLock lock(&mutex_);
  Waiting waiting{.view = view_.view};
  if (phase_ == Phase::kUnjoined || working_ || HasWorkLocked()) return waiting;
  if (phase_ == Phase::kJoining) {
    if (const std::optional<uint32_t> peer = rebuild_.awaited(); peer.has_value()) waiting.shards = {*peer};
  } else if (phase_ == Phase::kStep && !open().voted() && !open().ready_to_vote()) {
    for (size_t place = 0; place < view_.workers.size(); ++place) {
      if (!open().AwaitsWorker(place, view_.workers.size(), options_.max_in_flight)) continue;
      waiting.workers.push_back(view_.workers[place].id);
    }
  }
  waiting.coordinator = waiting.shards.empty() && waiting.workers.empty();
  waiting.seconds = absl::ToDoubleSeconds(options_.clock->Now() - active_at_);
  return waiting;
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
  // Which step a newer view begins with is not known yet.
  if (key.view > view_.view || phase_ == Phase::kUnjoined) return Turn::kWaits;
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
  return phase_ == Phase::kStep && key.step == current ? Turn::kNow : Turn::kWaits;
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
  return absl::OkStatus();
}

void ShardState::Enter(const Next& next) {
  const uint64_t step = undecided();
  active_at_ = options_.clock->Now();
  if (next.checkpoint) {
    checkpoint_ = TakeCheckpoint{view_.view, step - 1};
    log_.CheckpointBegun();
  }
  switch (next.action) {
    case NextAction::kStep:
      phase_ = Phase::kStep;
      open_ = 1 - open_;
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
  while (std::unique_ptr<WaitingMessages::Message> message = waiting_.TakeNext(view_.view, undecided())) {
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
