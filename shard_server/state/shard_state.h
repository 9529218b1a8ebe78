#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"
#include "common/protocol/types.h"
#include "shard_server/head/head.h"
#include "shard_server/state/decision_history.h"
#include "shard_server/state/open_step.h"
#include "shard_server/state/record_applier.h"
#include "shard_server/state/replay_log.h"
#include "shard_server/state/shard_output.h"
#include "shard_server/state/waiting_messages.h"
#include "shard_server/state/work.h"

namespace arcshard::shard {

// The state machine of one range of classes (DESIGN §2 to §4), without network, protobuf or torch.
//
//              JoinView            Decide(c)                  Decide(t), next = step
//   kUnjoined ──────────► kBetween ─────────► kStep(c + 1) ─ ··· ─────────────────────► kStep(t + 1) ─ ···
//                            ▲     Proceed ─► kStep               next = evaluate           │
//                            └──────────────────────────────────────────────────────────────┤
//                                                                  next = stop              ▼
//                                                                                       kStopped
//
// c is the view's last decided step: 0, or that of the checkpoint which the head was restored from. The next action may
// ask for a checkpoint first: the executor takes it after the update of the decided step and before all else.
//
// Within kStep(t) each micro-batch runs through OpenStep::Stage; when all are kDone the record is complete and the
// shard votes ready. Where classes are sampled, the head begins the step when the labels of all workers have been
// received, and pass 1 waits for that; embeddings are accepted earlier, so that no worker's sending waits for another
// one's labels. Decide(t) records the decision, opens the next step and leaves the update to the executor, so that
// labels and embeddings of t + 1 are received while pass 2 of t runs. The log holds the records of two steps: the
// decided one that pass 2 reads and the one that is being received. The latter cannot be voted on, and so not decided,
// before that pass 2 is done. There are two OpenSteps because the executor may be resending statistics of a step when
// its decision arrives.
//
// Thread-safe. Any thread may deliver messages; they never wait for device work. The executor, one thread, calls
// WaitForWork and RunOne; the lock is not held while the head computes or the output is called.
//
// Checks of a message, in this order; each error names the key and the worker:
//   FAILED_PRECONDITION  an older view, or a step that was decided or is more than one ahead
//   (it waits)           labels and embeddings of a newer view, or of the next step: they are accepted, checked when
//                        that view or step begins, and if wrong refused through ShardOutput::Refuse
//   ABORTED              the run has stopped
//   INVALID_ARGUMENT     a micro-batch outside the plan or of another worker, a wrong size, a label outside [0, N)
//   FAILED_PRECONDITION  another attempt than the current one, an embedding before its labels, a gradient before its
//                        statistics were sent
//   ALREADY_EXISTS       a repeat with other bytes
//   RESOURCE_EXHAUSTED   more micro-batches of a worker in flight than agreed, or more samples early than a step holds
class ShardState {
 public:
  struct Options {
    uint32_t id = 0;             // assigned by the coordinator
    int64_t dim = 0;             // D
    uint32_t batch_size = 0;     // most samples of a step
    uint32_t max_in_flight = 4;  // micro-batches of a worker that await their statistics
    bool deterministic = false;  // pass 1 takes one micro-batch at a time, in order; otherwise all that are queued
  };
  struct Decided {
    bool started = false;  // the first decision was received
    uint64_t step = 0;     // of the last decision
    uint64_t lineage = 0;
  };

  // The amount of pending work and of memory at one moment.
  struct Load {
    size_t in_flight = 0;       // micro-batches that await their statistics
    size_t queued = 0;          // of those, the ones that wait for pass 1
    size_t early = 0;           // messages that wait for a decision or a view
    uint64_t replay_bytes = 0;  // of the records in the log
    uint64_t repeats = 0;       // messages received again with the same bytes, since the start
  };

  // `output` outlives the state.
  ShardState(const Options& options, ShardOutput* output);

  // Messages of the coordinator.

  // Joins a view, which gives this shard the range of `head`. The head outlives the state and holds the rows after the
  // view's last decided step. A run has one view; its repetition is accepted. InvalidArgument: the view does not name
  // this shard, gives it other classes than the head has, or has no workers. FailedPrecondition: the shard is in
  // another view, or the view continues after a step without naming a checkpoint of it.
  absl::Status JoinView(const ViewAnnouncement& view, head::Head* head);

  // Records a decision before anything changes. The first one repeats the view's last decided step and commits nothing.
  // A repetition of the last one is accepted. FailedPrecondition: another view, a step that was decided before, a gap,
  // or a step that this shard has not voted on. AlreadyExists: the last decision with other contents. InvalidArgument:
  // lr is negative or not finite, or the plan of the next step is impossible.
  absl::Status Decide(const Decision& decision);

  // Receives what follows an evaluation; errors as of Decide.
  absl::Status Proceed(const View& view, const Next& next);

  // Messages of workers; errors as above.

  absl::Status Hello(uint32_t worker, const View& view);
  absl::Status Labels(uint32_t worker, const Key& key, absl::Span<const int64_t> labels);
  absl::Status Embedding(uint32_t worker, const Key& key, head::MatrixView<const float> embedding);
  absl::Status Gradient(uint32_t worker, const Key& key, absl::Span<const float> r, absl::Span<const float> t);

  // For the executor, one thread.

  // Blocks until there is work. Returns false when the state is closed and all work is done.
  bool WaitForWork();
  bool HasWork() const;
  // Does one piece of work, if there is any. An error of the head is final: the state cannot continue.
  absl::Status RunOne();

  // From now on WaitForWork returns false when all work is done.
  void Close();

  Decided decided() const;
  Load load() const;
  const Options& options() const { return options_; }

 private:
  enum class Phase { kUnjoined, kBetween, kStep, kStopped };
  enum class Turn { kNow, kWaits };

  absl::Status CheckView(const View& view, absl::string_view what) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckAnnouncement(const ViewAnnouncement& view, const head::HeadOptions& held) const;
  absl::Status CheckNext(const Next& next, uint64_t step) const;
  absl::StatusOr<Turn> CheckTurn(const Key& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckPlace(uint32_t worker, const Key& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Enter(const Next& next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakeOne(const WaitingMessages::Message& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t undecided() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return decisions_.undecided(); }
  OpenStep& open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return steps_[undecided() % 2]; }
  const OpenStep& open() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return steps_[undecided() % 2]; }

  // The executor's side. HasWorkLocked says whether ChooseWork would return something.
  bool HasWorkLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<Work> ChooseWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Do(const RefuseMessages& work);
  absl::Status Do(const ApplyDecision& work);
  absl::Status Do(const TakeCheckpoint& work);
  absl::Status Do(const ResendStatistics& work);
  absl::Status Do(const BeginStep& work);
  absl::Status Do(const ForwardGroup& work);
  absl::Status Do(const CastVote& work);
  void SendStatistics(const OpenStep& step, uint32_t micro_batch);
  head::Head* head() const;

  const Options options_;
  ShardOutput* const output_;

  mutable Mutex mutex_;
  CondVar work_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kUnjoined;
  ViewAnnouncement view_ ABSL_GUARDED_BY(mutex_);
  head::Head* head_ ABSL_GUARDED_BY(mutex_) = nullptr;
  ReplayLog log_ ABSL_GUARDED_BY(mutex_);
  std::array<OpenStep, 2> steps_ ABSL_GUARDED_BY(mutex_);  // step t in t mod 2
  WaitingMessages waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<Refusal> refusals_ ABSL_GUARDED_BY(mutex_);
  DecisionHistory decisions_ ABSL_GUARDED_BY(mutex_);
  const ReplayRecord* unapplied_ ABSL_GUARDED_BY(mutex_) = nullptr;  // decided, and pass 2 is not done
  // The step whose state is to become a checkpoint, once that step is applied and before all else.
  std::optional<uint64_t> checkpoint_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;

  // Only the executor's thread uses these. They are members so that their memory is reused.
  GroupCall call_;
  RecordApplier applier_;
};

}  // namespace arcshard::shard
