#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/checkpoint/manifest.h"
#include "common/config/run_config.h"
#include "common/protocol/checkpoint_report.h"
#include "coordinator/run/connection.h"
#include "coordinator/run/run_output.h"

namespace arcshard::coordinator {

// The checkpoints of one life of a run: when one is due, which members still have to report a part of it, and which
// callers wait for it. Training continues meanwhile (ADR 0011). One checkpoint is in progress at a time, except that
// the one of the run's end begins although another may be in progress.
//
//   due ── Begin ──► parts ── all reported ──────────────► CompleteCheckpoint ── Kept(OK) ────► complete
//                      │                                                      └─ Kept(error) ─► failed
//                      └───── all reported, one failed ──► AbandonCheckpoint ─────────────────► failed
//
// Not thread-safe.
class Checkpoints {
 public:
  struct Options {
    bool enabled = true;  // false: no checkpoint is ever due
    RunConfig::Checkpoint config;
    std::string run_folder;
    uint64_t incarnation = 0;
    std::optional<CheckpointTaken> resumed = std::nullopt;     // the one that this life of the run resumed from
    MonotonicTime resumed_at = MonotonicTime::InfinitePast();  // when that one was made; InfinitePast: not known
  };

  // Adds what it wants done to `outputs`, which outlives it.
  Checkpoints(Options options, RunOutputs* outputs);

  // Starts the clock of checkpoint.every_minutes.
  void Start(MonotonicTime now) { last_asked_at_ = now; }

  // Whether the state after `step`, the last decided one, is to become a checkpoint. `ending`: it was the run's last
  // step. `stopping`: the members are told to stop after it.
  bool Due(uint64_t step, bool ending, bool stopping, MonotonicTime now) const;
  // The members were asked for it. `manifest` lacks only its files; each of `parts` will report its own.
  // Requires: no checkpoint of this step or a later one has begun, and `parts` is not empty.
  void Begin(Manifest manifest, std::set<Connection> parts, MonotonicTime now);

  // Adds the part that `name` reports. FailedPrecondition: `from` was not asked for it. InvalidArgument: it names a
  // file that belongs to another part.
  absl::Status Add(Connection from, absl::string_view name, const CheckpointReport& report, MonotonicTime now);
  // Whether the member has still to report a part.
  bool Owes(Connection member) const;
  // The result of CompleteCheckpoint. Nothing happens if no such checkpoint was handed over.
  void Kept(uint64_t step, const absl::Status& status, MonotonicTime now);

  // Answers once a checkpoint of `least_step` or a later step is complete or has failed, at the latest when the run
  // ends; at once if there is such a checkpoint already.
  void Request(uint64_t least_step, CheckpointAnswer answer);
  void EndRequests(const absl::Status& status);

  bool in_progress() const { return !pending_.empty(); }
  uint64_t oldest_in_progress() const;  // its step. Requires: in_progress()
  const std::optional<CheckpointTaken>& newest() const { return newest_; }
  MonotonicTime newest_at() const { return newest_at_; }   // when it became complete; InfinitePast: not known
  const std::string& failure() const { return failure_; }  // why the latest checkpoint failed; empty: it did not
  // The result of a run that ends after `step`: OK, or why the checkpoint of that step failed.
  absl::Status Outcome(uint64_t step) const;

 private:
  struct Pending {
    Manifest manifest;
    std::string folder;
    std::set<Connection> awaited;
    absl::Status status = absl::OkStatus();  // the first error of a part
    MonotonicTime asked;
    bool handed_over = false;  // with CompleteCheckpoint
  };
  struct Waiting {
    uint64_t least_step;
    CheckpointAnswer answer;
  };

  void HandOver(Pending* pending, MonotonicTime now);
  void Settle(uint64_t step, absl::Status status, MonotonicTime now);
  void NoteSettled(const Pending& pending, const absl::Status& status, absl::Duration took);
  void AnswerRequests(uint64_t step, const absl::StatusOr<CheckpointTaken>& taken);

  const Options options_;
  RunOutputs* const outputs_;
  std::deque<Pending> pending_;  // by step
  std::vector<Waiting> waiting_;
  uint64_t last_asked_ = 0;  // the step of the last one begun, or of the one resumed from
  MonotonicTime last_asked_at_ = MonotonicTime::InfiniteFuture();
  std::optional<CheckpointTaken> newest_;
  MonotonicTime newest_at_ = MonotonicTime::InfinitePast();
  std::string failure_;
  uint64_t last_settled_ = 0;                    // the latest step whose checkpoint is complete or has failed
  absl::Status last_status_ = absl::OkStatus();  // how that one ended
  uint64_t failed_in_a_row_ = 0;
};

}  // namespace arcshard::coordinator
