#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/checkpoint/manifest.h"
#include "common/config/run_config.h"
#include "common/protocol/checkpoint_report.h"
#include "coordinator/run/outbox.h"
#include "coordinator/run/progress.h"

namespace arcshard::coordinator {

// What Run wants of the disk. Called under the lock that guards Run: must not call back, must not block.
class CheckpointKeeper {
 public:
  virtual ~CheckpointKeeper() = default;
  // Makes the checkpoint in `folder` complete. Run::CheckpointKept hears how that went, once; after an error nothing of
  // it is left.
  virtual void Complete(const std::string& folder, Manifest manifest) = 0;
  // It has failed: what there is of it goes.
  virtual void Abandon(const std::string& folder) = 0;
};

// A complete checkpoint.
struct CheckpointTaken {
  uint64_t step = 0;
  std::string folder;
};

// What a run goes on from: the checkpoint's folder and manifest.
struct ResumePoint {
  std::string folder;
  Manifest manifest;
};

// The checkpoints of one life of a run: when one is due, who owes a part of it, and who waits for it. Nobody waits with
// the training (ADR 0011). Of two in progress the second is that of the run's end.
//
//   due ── Begin ──► parts ── all are there ──────────► Keeper::Complete ── Kept(OK) ──► complete
//                      │                                                 └─ Kept(error) ─► failed
//                      └───── all are there, one failed ──► Keeper::Abandon ─────────────► failed
//
// Not thread-safe: Run's lock guards it.
class Checkpoints {
 public:
  using Answer = std::function<void(const absl::StatusOr<CheckpointTaken>&)>;

  struct Options {
    RunConfig::Checkpoint config;
    std::string run_folder;
    uint64_t incarnation = 0;
    std::optional<CheckpointTaken> resumed = std::nullopt;  // that this life began from
    absl::Time resumed_from_time = absl::InfinitePast();    // when that was made
  };

  // Without a keeper nothing is ever due. Both outlive it.
  Checkpoints(Options options, CheckpointKeeper* keeper, ProgressSink* sink);

  // The clock of checkpoint.every_minutes begins.
  void Start(absl::Time now) { last_asked_at_ = now; }

  // Whether the state after `step`, the last one decided, is to become a checkpoint. `ending`: it was the last step.
  // `stopping`: nothing follows.
  bool Due(uint64_t step, bool ending, bool stopping, absl::Time now) const;
  // It was asked for: `manifest` is complete but for its files, `parts` each report theirs.
  void Begin(Manifest manifest, std::set<Connection> parts, absl::Time now);

  // A part. FailedPrecondition: nobody asked `from` for it. InvalidArgument: it names a file that another part has.
  absl::Status Add(Connection from, absl::string_view name, const CheckpointReport& report, absl::Time now);
  bool Owes(Connection member) const;
  // What the keeper says of the one of `step`.
  void Kept(uint64_t step, const absl::Status& status, absl::Time now);

  // Somebody wants one of step `least_step` or later; `answer` is called when it is complete or has failed, or at the
  // run's end. It may be so already.
  void Request(uint64_t least_step, Answer answer);
  void EndRequests(const absl::Status& status);

  bool in_progress() const { return !pending_.empty(); }
  uint64_t oldest_in_progress() const { return pending_.front().manifest.step; }
  const std::optional<CheckpointTaken>& newest() const { return newest_; }
  absl::Time newest_at() const { return newest_at_; }      // when it was complete
  const std::string& failure() const { return failure_; }  // of the latest; empty: it did not fail
  // OK, or why the checkpoint of `step` failed: what a run that ends there must say.
  absl::Status Outcome(uint64_t step) const;

 private:
  struct Pending {
    Manifest manifest;
    std::string folder;
    std::set<Connection> awaited;
    absl::Status status = absl::OkStatus();  // the first error of a part
    absl::Time asked;
    bool with_keeper = false;
  };
  struct Waiting {
    uint64_t least_step;
    Answer answer;
  };

  void HandOver(Pending* pending, absl::Time now);
  void Settle(uint64_t step, absl::Status status, absl::Time now);
  void AnswerThose(uint64_t step, const absl::StatusOr<CheckpointTaken>& answer);

  const Options options_;
  CheckpointKeeper* const keeper_;
  ProgressSink* const sink_;
  std::deque<Pending> pending_;  // by step
  std::vector<Waiting> waiting_;
  uint64_t last_asked_ = 0;  // step; that resumed from counts
  absl::Time last_asked_at_ = absl::InfiniteFuture();
  std::optional<CheckpointTaken> newest_;
  absl::Time newest_at_ = absl::InfinitePast();
  std::string failure_;
  absl::Status last_status_ = absl::OkStatus();  // of the settled one of step last_settled_
  uint64_t last_settled_ = 0;
  uint64_t failed_in_a_row_ = 0;
};

}  // namespace arcshard::coordinator
