#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "shard_server/head/head.h"
#include "shard_server/state/decision_history.h"
#include "shard_server/state/log/record_applier.h"
#include "shard_server/state/log/recovery_log.h"
#include "shard_server/state/rebuild.h"
#include "shard_server/state/shard_options.h"
#include "shard_server/state/shard_output.h"
#include "shard_server/state/step/open_step.h"
#include "shard_server/state/step/waiting_messages.h"
#include "shard_server/state/work.h"

namespace arcshard::shard {

// The state machine of one range of classes (DESIGN §2 to §4), without network, protobuf or torch.
//
//                JoinView            executor             Install, Proceed         Decide(t), next = step
//   kUnjoined, ──────────► kJoining ──────────► kBetween ─────────────────► kStep ────────────────────────► kStep ─ ···
//   every other                                    ▲      next = evaluate     │ (t)                         (t + 1)
//                                                  └──────────────────────────┤
//                                                              next = stop    └───► kStopped
//
// A newer view may be announced at any time. JoinView only records it; the executor finishes what it is at, and then,
// in this order: applies the decision that is recorded, which may be the one that the view carries; takes the
// checkpoint that was asked for; discards the step that the view voids, whose buffers are free from then on; brings the
// head to the view's state (Rebuild); and reports Joined. Meanwhile messages of the new view wait.
//
// Within kStep(t) each micro-batch runs through OpenStep::Stage; when all are kDone the record is complete and the
// shard votes ready. Where classes are sampled, the head begins the step when the labels of all workers are there, and
// pass 1 waits for that; embeddings are accepted earlier, so that no worker waits for another one's labels. Between
// vote and decision the executor forms a part of the gradient. Decide(t) records the decision, opens the next step and
// leaves the update to the executor, so that messages of t + 1 are received during pass 2 of t; then t + 1 is voted on.
//
// Thread-safe. Any thread may deliver messages; they never wait for device work. The executor, one thread, calls
// WaitForWork and RunOne; the lock is not held while the head computes or the output is called.
//
// Checks of a worker's message, in this order; each error names the key and the worker:
//   FAILED_PRECONDITION  an older view, or a step that was decided or is more than one ahead
//   (it waits)           labels and embeddings of a newer view, or of the next step: they are accepted, checked when
//                        that view's step begins, and if wrong refused through ShardOutput::Refuse
//   ABORTED              the run has stopped
//   INVALID_ARGUMENT     a micro-batch outside the plan or of another worker, a wrong size, a label outside [0, N)
//   FAILED_PRECONDITION  an embedding before its labels, a gradient before its statistics were sent
//   ALREADY_EXISTS       a repeat with other bytes
//   RESOURCE_EXHAUSTED   more micro-batches of a worker in flight than agreed, or more samples early than a step holds
class ShardState {
 public:
  using Options = ShardOptions;
  using Load = ShardLoad;

  // `output` outlives the state.
  ShardState(const Options& options, ShardOutput* output);

  // --- Messages of the coordinator

  // Enters a view, which gives this shard the range of `head`. The head outlives the state and is the same in every
  // view; what it holds before the first one does not count. A repetition is accepted. FailedPrecondition: an older
  // view. AlreadyExists: the view was announced otherwise. InvalidArgument: it does not name this shard, gives it other
  // classes than the head has, has no workers, or its points contradict one another.
  absl::Status JoinView(const ViewAnnouncement& view, head::Head* head);

  // The first action of the view, after Joined. A repetition is accepted. FailedPrecondition: another view, this shard
  // has not joined yet, or another Install came before. InvalidArgument: the plan of the next step is impossible.
  absl::Status Install(const arcshard::Install& install);

  // Records a decision before anything changes. A repetition of the last one is accepted. FailedPrecondition: another
  // view, a step that was decided before, a gap, or a step that this shard has not voted on. AlreadyExists: the last
  // decision with other contents. InvalidArgument: lr is negative or not finite, or the plan of the next step is
  // impossible. Internal: its lineage is not that of the state it leads to.
  absl::Status Decide(const Decision& decision);

  // Receives what follows an evaluation; errors as of Decide. Before Install a stop is ignored: Install says so too.
  absl::Status Proceed(const arcshard::Proceed& proceed);
  void CheckpointSettled(const arcshard::CheckpointSettled& settled);

  // What this shard registers with again; `state` counts a decision as soon as it is recorded. Empty before a view.
  HeldState held() const;

  // --- The replay log, this shard's and another one's

  // The answer to ShardOutput::RequestReplay; see Rebuild::Add and Rebuild::End.
  absl::Status Record(const View& view, std::shared_ptr<const ReplayRecord> record);
  void ReplayEnded(const View& view, const absl::Status& status);

  // For a peer that rebuilds its range; see ReplayLog::After.
  absl::StatusOr<std::shared_ptr<const ReplayRecord>> RecordAfter(const StatePoint& after) const;

  // --- Messages of workers; errors as above

  absl::Status Hello(uint32_t worker, const View& view);
  absl::Status Labels(uint32_t worker, const Key& key, absl::Span<const int64_t> labels);
  absl::Status Embedding(uint32_t worker, const Key& key, head::MatrixView<const float> embedding);
  absl::Status Gradient(uint32_t worker, const Key& key, absl::Span<const float> r, absl::Span<const float> t);

  // --- For the executor, one thread

  // Blocks until there is work. Returns false when the state is closed and all work is done.
  bool WaitForWork();
  bool HasWork() const;
  // Does one piece of work, if there is any. An error of the head or of RestoreBase is final.
  absl::Status RunOne();

  // From now on WaitForWork returns false when all work is done, until Reopen.
  void Close();
  void Reopen();

  Load load() const;
  // For whom the executor waits, if it has nothing to do, and for how long nothing was done or received.
  Waiting waiting() const;
  const Options& options() const { return options_; }

 private:
  enum class Phase { kUnjoined, kJoining, kBetween, kStep, kStopped };
  enum class Turn { kNow, kWaits };
  absl::Status CheckAnnouncement(const ViewAnnouncement& view, const head::HeadOptions& held) const;
  bool TakesLast(const ViewAnnouncement& view) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckView(const View& view, absl::string_view what) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckNext(const Next& next, uint64_t step) const;
  absl::StatusOr<Turn> CheckTurn(const Key& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckPlace(uint32_t worker, const Key& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddDecision(const Decision& decision) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Enter(const Next& next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakeOne(const WaitingMessages::Message& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The first step whose outcome is open. Requires: a view.
  uint64_t undecided() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return (phase_ == Phase::kJoining ? view_.state : *decisions_.point()).step + 1;
  }
  OpenStep& open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return steps_[open_]; }
  const OpenStep& open() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return steps_[open_]; }

  bool HasWorkLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // whether ChooseWork returns something
  std::optional<Work> ChooseWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<Work> ChooseInStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<Work> ChooseJoining() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Do(const RefuseMessages& work);
  absl::Status Do(const ApplyDecision& work);
  absl::Status Do(const TakeCheckpoint& work);
  absl::Status Do(const ResendStatistics& work);
  absl::Status Do(const BeginStep& work);
  absl::Status Do(const ForwardGroup& work);
  absl::Status Do(const CastVote& work);
  absl::Status Do(const FormGradient& work);
  absl::Status Do(const VoidStep& work);
  absl::Status Do(const RestoreBase& work);
  absl::Status Do(const RequestReplay& work);
  absl::Status Do(const ReplayStep& work);
  absl::Status Do(const ReportJoined& work);
  absl::Status Do(const ReportLostPeers& work);
  void SendStatistics(const OpenStep& step, uint32_t micro_batch);
  head::Head* head() const;

  const Options options_;
  ShardOutput* const output_;

  mutable Mutex mutex_;
  CondVar work_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kUnjoined;
  ViewAnnouncement view_ ABSL_GUARDED_BY(mutex_);
  head::Head* head_ ABSL_GUARDED_BY(mutex_) = nullptr;
  DecisionHistory decisions_ ABSL_GUARDED_BY(mutex_);
  RecoveryLog log_ ABSL_GUARDED_BY(mutex_);  // its newest state is that of decisions_, where that is known
  Rebuild rebuild_ ABSL_GUARDED_BY(mutex_);
  std::array<OpenStep, 2> steps_ ABSL_GUARDED_BY(mutex_);  // in turn: a decided one may be resending
  size_t open_ ABSL_GUARDED_BY(mutex_) = 0;                // which of them is the open step, with kStep
  bool void_ ABSL_GUARDED_BY(mutex_) = false;              // that step is void, and the executor has not discarded it
  WaitingMessages waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<Refusal> refusals_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const ReplayRecord> unapplied_ ABSL_GUARDED_BY(mutex_);  // decided, and pass 2 is not done
  // To be taken once its step is applied, and before anything else changes the head.
  std::optional<TakeCheckpoint> checkpoint_ ABSL_GUARDED_BY(mutex_);
  std::optional<arcshard::Install> installed_ ABSL_GUARDED_BY(mutex_);  // in this view
  RunCounters counters_ ABSL_GUARDED_BY(mutex_);                        // the latest
  uint64_t replayed_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool working_ ABSL_GUARDED_BY(mutex_) = false;     // the executor
  MonotonicTime active_at_ ABSL_GUARDED_BY(mutex_);  // when something was done or received last

  // Only the executor's thread uses these. They are members so that their memory is reused.
  GroupCall call_;
  RecordApplier applier_;
  absl::Duration pass_1_, gradient_;  // how long they took in the step that the head has in hand
};

}  // namespace arcshard::shard
