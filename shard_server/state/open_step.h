#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/protocol/types.h"
#include "shard_server/head/head.h"
#include "shard_server/state/replay_record.h"
#include "shard_server/state/shard_output.h"

namespace arcshard::shard {

// A call of pass 1: pointers into an OpenStep's buffers, which nobody else touches until FinishGroup.
struct GroupCall {
  std::vector<uint32_t> micro_batches;
  std::vector<head::ForwardInput> inputs;
  std::vector<head::ForwardOutput> outputs;
  std::vector<const char*>
      not_finite;  // what of each micro-batch was not, null where all was; the caller of pass 1 fills it
};

// One step on its way to a complete record: what has come, what pass 1 has taken, what it gave. The head begins it once
// what says which classes take part is known: all labels where classes are sampled, nothing otherwise, when it begins
// with the first group. Each micro-batch goes
//
//            labels            embedding           taken by a group       statistics            r, t
//   kNothing ──────► kLabelled ─────────► kQueued ────────────────► kRunning ──────────► kSent ─────► kDone
//
// and a repeat of any message changes nothing: with the same bytes it is accepted (an embedding's also asks for the
// statistics again), with others it is AlreadyExists. Thread-compatible: the state's lock guards it. The buffers of an
// embedding are read, and those of statistics written and read, by the executor without the lock: between kQueued and
// the next Open nothing else writes them.
class OpenStep {
 public:
  enum class Progress { kNothing, kLabelled, kQueued, kRunning, kSent, kDone };

  // Starts `plan` over; keeps the memory. `options`: of the head that computes it.
  void Open(const View& view, const StepPlan& plan, const head::HeadOptions& options);

  // Each checks the message of the micro-batch `key.micro_batch` (inside the plan; its worker was checked).
  // InvalidArgument: a size other than the plan's, a label outside [0, N). FailedPrecondition: before its turn.
  // AlreadyExists: a repeat with other bytes.
  absl::Status AddLabels(const Key& key, absl::Span<const int64_t> labels);
  // ResourceExhausted: `worker` has `max_in_flight` micro-batches that await their statistics.
  absl::Status AddEmbedding(const Key& key, uint32_t worker, head::MatrixView<const float> embedding,
                            uint32_t max_in_flight);
  absl::Status AddGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t);

  // Whether the head is to begin the step now: there is all that it needs for it, and not earlier than it must.
  bool HasBegin(bool in_order) const;
  // The labels to begin with, which stay until the next Open: of all micro-batches in the plan's order, in whatever
  // order they came; none where every class takes part. Requires HasBegin.
  absl::Span<const int64_t> TakeBegin();

  // Whether pass 1 has something to take, which it has not before the step has begun. `in_order`: one micro-batch at a
  // time, in the plan's order.
  bool HasGroup(bool in_order) const { return begun_ && HasQueued(in_order); }
  // Takes it into `call`, recorded as a group. Requires HasGroup.
  void TakeGroup(bool in_order, GroupCall* call);
  // Pass 1 is through with `call`: the statistics may be sent.
  void FinishGroup(const GroupCall& call);
  // Packs the own centers that pass 1 left in the rows of their samples to the front. By the executor, without the
  // lock.
  void PackOwnCenters(uint32_t micro_batch);
  Statistics statistics(uint32_t micro_batch) const;

  // A micro-batch whose statistics are to be sent again; -1 when there is none. Forgets the wish.
  int64_t TakeResend();
  bool HasResend() const { return resends_ > 0; }

  // Everything is here and the vote is still to be cast.
  bool ready_to_vote() const { return !micro_batches_.empty() && done_ == num_micro_batches() && !voted_; }
  bool voted() const { return voted_; }
  ReadyVote Vote();

  size_t in_flight() const;                         // micro-batches that await their statistics
  size_t queued() const { return queued_.size(); }  // of those, the ones that pass 1 has not taken
  uint64_t repeats() const { return repeats_; }     // messages that came again with the same bytes, of all steps
  size_t num_micro_batches() const { return record_.plan.micro_batch_sizes.size(); }
  ReplayRecord& record() { return record_; }
  const ReplayRecord& record() const { return record_; }

 private:
  struct MicroBatch {
    Progress progress = Progress::kNothing;
    bool resend = false;
    std::vector<float> z;            // B
    std::vector<float> u;            // B×D
    std::vector<uint32_t> own_rows;  // ascending
    std::vector<float> own_centers;  // B×D: in the rows of their samples, then packed to the front
  };

  bool AwaitsStatistics(size_t micro_batch) const {
    const Progress progress = micro_batches_[micro_batch].progress;
    return progress == Progress::kQueued || progress == Progress::kRunning;
  }
  // A message that came before, with the same bytes or not.
  absl::Status Repeat(bool same, const char* what, const Key& key);
  uint32_t InFlightOf(uint32_t worker) const;
  bool HasQueued(bool in_order) const;
  bool samples_classes() const { return options_.sample_rate < 1.0; }
  void NoteNonFinite(const char* what, uint32_t micro_batch);

  ReplayRecord record_;
  head::HeadOptions options_;
  std::vector<MicroBatch> micro_batches_;  // as many as the longest step had
  std::vector<uint32_t> queued_;           // in order of arrival
  std::vector<int64_t> all_labels_;        // of the step, where classes are sampled and it has begun
  size_t labelled_ = 0;                    // micro-batches whose labels have come
  bool begun_ = false;
  uint32_t next_in_order_ = 0;  // taken by pass 1 so far, where it goes in order
  size_t done_ = 0;
  size_t resends_ = 0;
  bool voted_ = false;
  std::string non_finite_;  // the first that was not finite
  uint64_t repeats_ = 0;
};

}  // namespace arcshard::shard
