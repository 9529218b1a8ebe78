#include "shard_server/state/log/recovery_log.h"

#include <cassert>

namespace arcshard::shard {

RecoveryLog::RecoveryLog(const LogBounds::Options& bounds) : has_memory_(bounds.bytes > 0), bounds_(bounds) {}

void RecoveryLog::EnterView(const ViewAnnouncement& view) {
  kept_ = has_memory_ && view.shards.size() >= 2;
  if (!kept_) has_base_ = false;
  if (begun_.has_value() && begun_->view.incarnation < view.view.incarnation) begun_.reset();
  view_ = view.view;
  workers_.clear();
  for (const WorkerMember& worker : view.workers) workers_.push_back(worker.id);
  Settle({view.base, true});
}

void RecoveryLog::Restart(const StatePoint& base) {
  Clear();
  log_.Restart(base);
  has_base_ = kept_;
}

void RecoveryLog::Clear() {
  log_.Restart({});
  bounds_.Clear();
  has_base_ = false;
  begun_.reset();
}

ReplayRecord* RecoveryLog::Append(const View& view, const StepPlan& plan) {
  KeepTwo();
  ReplayRecord* const record = log_.Append(view, plan);
  record->workers = workers_;
  return record;
}

std::shared_ptr<const ReplayRecord> RecoveryLog::Decide(const Decision& decision) {
  std::shared_ptr<const ReplayRecord> record = log_.Decide(decision);
  bounds_.Add(decision.step, record->bytes(), record->plan.batch_size());
  return record;
}

void RecoveryLog::AddReplayed(const std::shared_ptr<const ReplayRecord>& record, absl::Duration took) {
  log_.Add(record);
  bounds_.Add(record->plan.step, record->bytes(), record->plan.batch_size());
  if (record->outcome == Outcome::kCommit) bounds_.Replayed(record->plan.step, took);
  KeepTwo();
}

void RecoveryLog::CheckpointBegun() {
  begun_ = Begun{view_, log_.newest()};
  if (kept_ && !has_base_) ReleaseThrough(log_.newest().step);
}

void RecoveryLog::Settle(const CheckpointSettled& settled) {
  if (begun_.has_value() && begun_->point == settled.state) begun_.reset();
  if (!settled.complete || !kept_ || !log_.Passes(settled.state)) return;
  ReleaseThrough(settled.state.step);
  has_base_ = true;
}

bool RecoveryLog::HoldsVoteBack() const {
  return kept_ && bounds_.RoomFor(log_.undecided_bytes(), IsBeingWritten()) == LogBounds::Room::kAwaitsCheckpoint;
}

void RecoveryLog::Describe(ReadyVote* vote) {
  assert(!HoldsVoteBack());
  const uint64_t open_bytes = log_.undecided_bytes();
  const bool keeps_more_than_two = has_base_ || (kept_ && begun_.has_value());
  if (keeps_more_than_two && bounds_.RoomFor(open_bytes, IsBeingWritten()) == LogBounds::Room::kNone) {
    has_base_ = false;
    begun_.reset();
    KeepTwo();
    log_.FreeReleased();
  }
  // What a checkpoint in progress will release needs no other one.
  const uint64_t covered = IsBeingWritten() ? begun_->point.step : log_.start().step;
  vote->wants_checkpoint = has_base_ && bounds_.WantsCheckpoint(covered, open_bytes);
  vote->log_is_dropped = kept_ && !has_base_;
}

std::optional<StatePoint> RecoveryLog::base() const {
  if (!has_base_) return std::nullopt;
  return log_.start();
}

void RecoveryLog::ReleaseThrough(uint64_t step) {
  log_.ReleaseThrough(step);
  bounds_.ReleaseThrough(step);
}

void RecoveryLog::KeepTwo() {
  if (has_base_ || (kept_ && begun_.has_value()) || log_.newest().step == 0) return;
  ReleaseThrough(log_.newest().step - 1);
}

}  // namespace arcshard::shard
