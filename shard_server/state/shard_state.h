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
#include "shard_server/state/open_step.h"
#include "shard_server/state/shard_output.h"
#include "shard_server/state/waiting_messages.h"

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
// c is the view's last decided step: 0, or that of the checkpoint which the head was restored from. What is next may
// begin with a checkpoint: the executor takes it once the update of the decided step is through, and before the next.
//
// Within kStep(t) each micro-batch runs through OpenStep::Progress; when all are kDone the record is complete and the
// shard votes ready. Where classes are sampled the head begins the step when the labels of all its micro-batches have
// come, whoever sends them, and pass 1 takes nothing before; embeddings are accepted all the while, so that no worker
// waits for another one's labels with its own unsent. Decide(t) writes the decision down, opens what is next and leaves
// the update to the executor, so that labels and embeddings of t + 1 come in while pass 2 of t runs. Two OpenSteps take
// turns: the one that is decided is read by pass 2 while the other one gathers, and cannot vote, nor be decided, before
// that pass 2 is through.
//
// Thread-safe. Messages are taken by any thread and never wait for device work: the executor, one thread, calls
// WaitForWork and RunOne, and the lock is not held while the head computes or the output is called.
//
// Checks of a message, in this order; each sentence names the key and the worker:
//   FAILED_PRECONDITION  an older view; a step that was decided, or is more than one ahead
//   (it waits)           labels and embeddings of a newer view, or of the next step: accepted, checked when that
//                        begins, and then refused through ShardOutput::Refuse
//   ABORTED              the run has stopped
//   INVALID_ARGUMENT     a micro-batch outside the plan or of another worker, a wrong size, a label outside [0, N)
//   FAILED_PRECONDITION  another attempt than the one that stands, an embedding before its labels, a gradient before
//                        its statistics were sent
//   ALREADY_EXISTS       a repeat with other bytes
//   RESOURCE_EXHAUSTED   more micro-batches of a worker in flight than agreed, more samples early than one step holds
class ShardState {
 public:
  struct Options {
    uint32_t id = 0;             // that the coordinator gave
    int64_t dim = 0;             // D
    uint32_t batch_size = 0;     // most samples of a step
    uint32_t max_in_flight = 4;  // micro-batches of a worker that await their statistics
    bool deterministic =
        false;  // pass 1 takes one micro-batch at a time, in order; otherwise whatever is queued together
  };
  struct Decided {
    bool started = false;  // the first decision has come
    uint64_t step = 0;     // the last decided
    uint64_t lineage = 0;
  };

  // What it holds now.
  struct Load {
    size_t in_flight = 0;       // micro-batches that await their statistics
    size_t queued = 0;          // of those, the ones that wait for pass 1
    size_t early = 0;           // messages that wait for a decision or a view
    uint64_t replay_bytes = 0;  // of the records of the open step and the one before
    uint64_t repeats = 0;       // messages so far that came again with the same bytes
  };

  // `output` outlives the state.
  ShardState(const Options& options, ShardOutput* output);

  // From the coordinator.

  // The view's range is `head`'s, which outlives the state and holds the rows after the view's last decided step. A run
  // has one view: a repeat is accepted. InvalidArgument: the view names no such shard, other classes than the head has,
  // or no workers. FailedPrecondition: an earlier view than the last, a second one, or one that goes on from a step
  // without naming a checkpoint of it.
  absl::Status JoinView(const ViewAnnouncement& view, head::Head* head);

  // Written down before anything changes. The first is a commit of nothing of the view's last decided step. The last
  // decision again is accepted. FailedPrecondition: another view, a step
  // decided before, a gap, or a step of which this shard does not hold everything. AlreadyExists: the last decision
  // with other words. InvalidArgument: lr negative or not finite, or a plan of what is next that cannot be.
  absl::Status Decide(const Decision& decision);

  // What follows an evaluation; errors as of Decide.
  absl::Status Proceed(const View& view, const Next& next);

  // From workers; see above.

  absl::Status Hello(uint32_t worker, const View& view);
  absl::Status Labels(uint32_t worker, const Key& key, absl::Span<const int64_t> labels);
  absl::Status Embedding(uint32_t worker, const Key& key, head::MatrixView<const float> embedding);
  absl::Status Gradient(uint32_t worker, const Key& key, absl::Span<const float> r, absl::Span<const float> t);

  // Of the executor, one thread.

  // Blocks until there is work. False: the state is closed and all work is done.
  bool WaitForWork();
  bool HasWork() const;
  // One piece of work; nothing when there is none. An error of the head is final: the state cannot go on.
  absl::Status RunOne();

  // Lets WaitForWork end when the work is done.
  void Close();

  Decided decided() const;
  Load load() const;
  const Options& options() const { return options_; }

 private:
  enum class Phase { kUnjoined, kBetween, kStep, kStopped };
  enum class Turn { kNow, kWaits };
  struct Refusal {
    uint32_t worker;
    Key key;
    absl::Status why;
  };

  absl::Status CheckView(const View& view, absl::string_view what) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckNext(const Next& next, uint64_t step) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Turn> CheckTurn(const Key& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckPlace(uint32_t worker, const Key& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool started() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return next_decision_ > view_.last_decided_step; }
  void Enter(const Next& next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakeOne(const WaitingMessages::Message& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t undecided() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  OpenStep& open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return steps_[undecided() % 2]; }
  bool HasWorkLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Status RunUpdate(OpenStep* step);
  absl::Status RunGroup(OpenStep* step);
  void SendStatistics(const OpenStep& step, uint32_t micro_batch);
  head::Head* head() const;

  const Options options_;
  ShardOutput* const output_;

  mutable Mutex mutex_;
  CondVar work_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kUnjoined;
  ViewAnnouncement view_ ABSL_GUARDED_BY(mutex_);
  head::Head* head_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::array<OpenStep, 2> steps_ ABSL_GUARDED_BY(mutex_);  // step t in t mod 2
  WaitingMessages waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<Refusal> refusals_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_decision_ ABSL_GUARDED_BY(mutex_) = 0;  // the step that it is of
  Decision last_decision_ ABSL_GUARDED_BY(mutex_);
  uint64_t lineage_ ABSL_GUARDED_BY(mutex_) = 0;
  OpenStep* undone_ ABSL_GUARDED_BY(mutex_) = nullptr;  // decided, not yet applied
  // A checkpoint of this step is to be taken once that is done, before anything else.
  std::optional<uint64_t> checkpoint_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;

  // Of the executor alone; kept for their memory.
  GroupCall call_;
  std::vector<head::Group> update_groups_;
};

}  // namespace arcshard::shard
