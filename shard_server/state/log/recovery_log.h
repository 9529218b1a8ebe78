#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "shard_server/state/log/log_bounds.h"
#include "shard_server/state/log/replay_log.h"

namespace arcshard::shard {

// The replay log of a shard in a run: how far back its records reach, and what votes say about it.
//
//                  Restart(base), a complete checkpoint
//              ┌──────────────────────────────────────────┐
//    two records at most                      all records after base()
//              └──────────────────────────────────────────┘
//                  no room, or a view without a log
//
// In a view of one shard, or where the configuration gives the log no memory, nobody could use it, and it keeps two
// records: the last decided one and that of the open step. A complete checkpoint releases the records up to its state.
// A log without a base keeps all records from the moment when a checkpoint is begun, so that it has one again when that
// is complete.
//
// Thread-compatible.
class RecoveryLog {
 public:
  explicit RecoveryLog(const LogBounds::Options& bounds);

  // --- The state that the shard holds

  // A view was announced. Its base is a complete checkpoint. Whether a checkpoint that was begun in an older view is
  // still being written is not known here: no vote waits for it, and a new coordinator gives it up.
  void EnterView(const ViewAnnouncement& view);
  // The shard holds the state `base`, to which the base of a view was restored. All records are forgotten.
  void Restart(const StatePoint& base);
  // The shard holds no state.
  void Clear();

  // --- Its steps: see ReplayLog

  ReplayRecord* Append(const View& view, const StepPlan& plan);
  std::shared_ptr<const ReplayRecord> Decide(const Decision& decision);
  void Void() { log_.Void(); }
  void AddReplayed(const std::shared_ptr<const ReplayRecord>& record, absl::Duration took);
  void Computed(uint64_t step, absl::Duration pass_1, absl::Duration pass_2) { bounds_.Computed(step, pass_1, pass_2); }
  absl::StatusOr<std::shared_ptr<const ReplayRecord>> After(const StatePoint& point) const { return log_.After(point); }

  // --- Checkpoints

  // A checkpoint of the state after the last decided step was asked for in the current view.
  void CheckpointBegun();
  // A state that this log does not pass is none of its own: it changes nothing.
  void Settle(const CheckpointSettled& settled);

  // --- Votes

  // Whether the vote on the open step has to wait until the checkpoint that is being written is complete or has failed.
  bool HoldsVoteBack() const;
  // Says in the vote on the open step how it stands with the log, which is dropped first if there is no room for the
  // step. Requires: the vote is not held back.
  void Describe(ReadyVote* vote);

  std::optional<StatePoint> base() const;  // every record after it is here; nullopt: that is true of no base
  size_t steps() const { return log_.size(); }
  uint64_t bytes() const { return log_.bytes(); }
  absl::Duration replay_time() const { return bounds_.replay_time(); }  // predicted, of all records

 private:
  struct Begun {
    View view;  // in which it was asked for
    StatePoint point;
  };

  bool IsBeingWritten() const { return begun_.has_value() && begun_->view == view_; }
  void ReleaseThrough(uint64_t step);
  void KeepTwo();

  const bool has_memory_;
  ReplayLog log_;
  LogBounds bounds_;
  View view_;
  std::vector<uint32_t> workers_;  // its workers' ids
  bool kept_ = false;              // in this view
  bool has_base_ = false;          // log_.start() is a complete checkpoint or the first weights; only if kept_
  std::optional<Begun> begun_;     // the last checkpoint that was begun and is not known to have ended
};

}  // namespace arcshard::shard
