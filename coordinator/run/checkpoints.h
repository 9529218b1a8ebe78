#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/checkpoint/manifest.h"
#include "common/config/run_config.h"
#include "common/protocol/checkpoint_report.h"
#include "common/protocol/messages.h"
#include "coordinator/policy/checkpoint_base.h"
#include "coordinator/policy/decisions.h"
#include "coordinator/run/run_output.h"

namespace arcshard::coordinator {

// The checkpoints of one life of a run: when one is due, which seats still have to report a part of it, and which
// callers wait for it. Training continues meanwhile (ADR 0011). One checkpoint is in progress at a time, except that
// the one of the run's end begins although another may be in progress.
//
//   due ── Begin ──► parts ── all reported ──────────────► CompleteCheckpoint ── Kept(OK) ────► complete
//                      │                                                      └─ Kept(error) ─► failed
//                      └───── all reported, one failed ──► AbandonCheckpoint ─────────────────► failed
//
// A checkpoint belongs to the view in which it was asked for, and goes on whatever the view is later. It fails if a
// member is lost that owes a part. Not thread-safe.
class Checkpoints {
 public:
  struct Options {
    bool enabled = true;  // false: no checkpoint is ever due
    RunConfig::Checkpoint config;
    std::string run_folder;
    std::optional<CheckpointBase> resumed = std::nullopt;      // the one that this life of the run resumed from
    MonotonicTime resumed_at = MonotonicTime::InfinitePast();  // when that one was made; InfinitePast: not known
  };
  // Why the state after a step might become a checkpoint.
  struct Occasion {
    bool ending = false;    // it was the run's last step
    bool stopping = false;  // the members are told to stop after it
    bool wanted = false;    // a replay log has reached half of its bound
  };

  // Adds what it wants done to `outputs`, which outlives it.
  Checkpoints(Options options, RunOutputs* outputs);

  // Starts the clock of checkpoint.every_minutes, unless it runs already.
  void Start(MonotonicTime now);

  // Whether the state after `step`, the last decided one, is to become a checkpoint.
  bool Due(uint64_t step, const Occasion& occasion, MonotonicTime now) const;
  // The members were asked for it in `view`. `manifest` lacks only its files; each of `parts` will report its own.
  // Requires: no checkpoint of this step in this view, or of a later step, has begun, and `parts` is not empty.
  void Begin(Manifest manifest, const View& view, std::set<Seat> parts, MonotonicTime now);

  // Whether `from` still has to report its part of the checkpoint that was asked for after `step` in `view`.
  bool Awaits(const Seat& from, uint64_t step, const View& view) const;
  // Adds the part that `name` reports. Requires: Awaits. InvalidArgument: it names a file that belongs to another part.
  absl::Status Add(const Seat& from, absl::string_view name, const CheckpointReport& report, MonotonicTime now);
  // Whether the member has still to report a part.
  bool Owes(const Seat& member) const;
  // The member is lost: what it owes fails, and is due again.
  void Lose(const Seat& member, absl::string_view name, MonotonicTime now);
  // The result of CompleteCheckpoint. Nothing happens if no such checkpoint was handed over.
  void Kept(uint64_t step, const absl::Status& status, MonotonicTime now);
  // The run goes back to base(), and takes the checkpoints of later steps again. Requires: !MayComplete().
  void RollBack();

  // Answers once a checkpoint of `least_step` or a later step is complete or has failed, at the latest when the run
  // ends; at once if there is such a checkpoint already.
  void Request(uint64_t least_step, CheckpointAnswer answer);
  void EndRequests(const absl::Status& status);

  // Those that have become complete or failed since the last call: the members are to be told.
  std::vector<CheckpointSettled> TakeSettled() { return std::exchange(settled_, {}); }

  bool in_progress() const { return !pending_.empty(); }
  // Whether one in progress may still become complete. Of one that has failed already, members may still write parts.
  bool MayComplete() const;
  uint64_t oldest_in_progress() const;  // its step. Requires: in_progress()
  // The newest complete one; the first weights while there is none.
  const CheckpointBase& base() const { return base_; }
  MonotonicTime base_at() const { return base_at_; }       // when it became complete; InfinitePast: not known
  const std::string& failure() const { return failure_; }  // why the latest checkpoint failed; empty: it did not
  // The result of a run that ends after `step`: OK, or why the checkpoint of that step failed.
  absl::Status Outcome(uint64_t step) const;

 private:
  using Order = std::pair<uint64_t, View>;  // step, and view in which it was asked for
  struct Pending {
    Manifest manifest;
    View view;
    std::string folder;
    std::set<Seat> awaited;
    absl::Status status = absl::OkStatus();  // the first error of a part
    MonotonicTime asked;
    bool handed_over = false;  // with CompleteCheckpoint
    bool lost_a_part = false;  // because a member was lost
    // As they were before it began.
    uint64_t asked_before = 0;
    MonotonicTime asked_before_at;
    Order order() const { return {manifest.step, view}; }
  };
  struct Waiting {
    uint64_t least_step;
    CheckpointAnswer answer;
  };
  using Iterator = std::deque<Pending>::iterator;

  // Ends one all of whose parts are reported, or hands it over.
  void HandOver(Iterator pending, MonotonicTime now);
  void Settle(Iterator pending, const absl::Status& status, MonotonicTime now);
  void NoteSettled(const Pending& pending, const absl::Status& status, absl::Duration took);
  void AnswerRequests(uint64_t step, const absl::StatusOr<CheckpointTaken>& taken);

  const Options options_;
  RunOutputs* const outputs_;
  std::deque<Pending> pending_;  // in the order in which they were asked for
  std::vector<Waiting> waiting_;
  std::vector<CheckpointSettled> settled_;
  uint64_t last_asked_ = 0;  // the step of the last one begun, or of the one resumed from
  MonotonicTime last_asked_at_ = MonotonicTime::InfiniteFuture();
  CheckpointBase base_;
  MonotonicTime base_at_ = MonotonicTime::InfinitePast();
  std::string failure_;
  Order last_settled_ = {};                      // the latest whose checkpoint is complete or has failed
  absl::Status last_status_ = absl::OkStatus();  // how that one ended
  uint64_t failed_in_a_row_ = 0;
  MonotonicTime failed_at_ = MonotonicTime::InfinitePast();  // the latest that failed, not for a loss
};

}  // namespace arcshard::coordinator
