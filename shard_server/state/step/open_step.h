#pragma once

#include <cassert>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/protocol/types.h"
#include "shard_server/head/head.h"
#include "shard_server/state/log/replay_record.h"
#include "shard_server/state/shard_output.h"

namespace arcshard::shard {

// The arguments of a call of pass 1. They point into buffers of an OpenStep and its record, which nothing else uses
// before FinishGroup.
struct GroupCall {
  std::vector<uint32_t> micro_batches;
  std::vector<head::ForwardInput> inputs;
  std::vector<head::ForwardOutput> outputs;
  // For each micro-batch the name of the values that were not finite, null where all were; the caller of pass 1 fills
  // it.
  std::vector<const char*> not_finite;
};

// One step from its first message to the shard's vote: which messages have been received, which micro-batches pass 1
// has taken, and the statistics that it returned. The inputs themselves go into a ReplayRecord, which the step borrows
// from the log. The head can begin the step once it is known which classes take part: where classes are sampled, when
// all labels have been received; otherwise with the first group. The stages of each micro-batch:
//
//            labels            embedding           taken by a group       statistics            r, t
//   kNothing ──────► kLabelled ─────────► kQueued ────────────────► kRunning ──────────► kSent ─────► kDone
//
// A repeated message changes nothing: with the same bytes it is accepted (and a repeated embedding has the statistics
// sent again), with other bytes it is AlreadyExists. Thread-compatible: the state's lock guards it. The executor reads
// the embeddings, and writes and reads the statistics, without the lock; from kQueued to the next Open or Close nothing
// else writes them.
class OpenStep {
 public:
  enum class Stage { kNothing, kLabelled, kQueued, kRunning, kSent, kDone };

  // Starts the step of `record`, which is empty and stays until the next Open or Close; keeps the memory of the
  // statistics. `options` are those of the head that computes the step. The methods below require that the step is
  // open.
  void Open(ReplayRecord* record, const head::HeadOptions& options);
  // Ends a step that is void. Requires: the executor does not use it.
  void Close() { record_ = nullptr; }

  // Each checks and keeps a message of the micro-batch `key.micro_batch`. Requires: the micro-batch is in the plan and
  // the sender is its worker. InvalidArgument: another size than the plan's, or a label outside [0, N).
  // FailedPrecondition: a message that must precede it is missing. AlreadyExists: a repeat with other bytes.
  absl::Status AddLabels(const Key& key, absl::Span<const int64_t> labels);
  // ResourceExhausted: `worker` has `max_in_flight` micro-batches that await their statistics.
  absl::Status AddEmbedding(const Key& key, uint32_t worker, head::MatrixView<const float> embedding,
                            uint32_t max_in_flight);
  absl::Status AddGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t);

  // Whether the head should begin the step now. It does so as late as possible: with its first group, or, where classes
  // are sampled, when all labels have been received.
  bool HasBegin(bool in_order) const;
  // Returns the labels to begin with, which stay until the next Open: where classes are sampled those of all
  // micro-batches in the plan's order, otherwise none. Requires: HasBegin.
  absl::Span<const int64_t> TakeBegin();

  // Whether the step has begun and pass 1 has something to take. `in_order`: one micro-batch at a time, in the plan's
  // order; otherwise all that are queued.
  bool HasGroup(bool in_order) const { return begun_ && HasQueued(in_order); }
  // Fills `call` with the next group and records the group. Requires: HasGroup with the same `in_order`.
  void TakeGroup(bool in_order, GroupCall* call);
  // Pass 1 of `call` is done, and its statistics may be sent. Requires: TakeGroup filled `call`.
  void FinishGroup(const GroupCall& call);
  // Moves the own centers, which pass 1 left in the rows of their samples, to the front. The executor calls this
  // without the lock.
  void PackOwnCenters(uint32_t micro_batch);
  PartialStatistics statistics(uint32_t micro_batch) const;

  // Whether the worker at `place` of `workers` owes a message. It sends the labels of all its micro-batches and then
  // their embeddings in order, of which at most `max_in_flight` are ahead of the gradients; the first gradient among
  // them is next, once it has the statistics for it.
  bool AwaitsWorker(size_t place, size_t workers, uint32_t max_in_flight) const;

  // Whether statistics of some micro-batch are to be sent again.
  bool HasResend() const { return resends_ > 0; }
  // Returns that micro-batch and forgets the request. Requires: HasResend.
  uint32_t TakeResend();

  // Whether every message was received and the vote is still to be cast.
  bool ready_to_vote() const { return record_ != nullptr && done_ == num_micro_batches() && !voted_; }
  bool voted() const { return voted_; }
  // Requires: ready_to_vote.
  ReadyVote Vote();

  // Whether the gradient of the class centers may be formed, before the decision: the shard has voted to commit.
  bool HasGradient() const { return record_ != nullptr && voted_ && non_finite_.empty() && !gradient_taken_; }
  // Returns the record, which is complete. It is taken once. Requires: HasGradient.
  const ReplayRecord* TakeGradient();

  size_t in_flight() const;                         // micro-batches that await their statistics
  size_t queued() const { return queued_.size(); }  // those of them that pass 1 has not taken
  uint64_t repeats() const { return repeats_; }     // messages received again with the same bytes, in all steps
  size_t num_micro_batches() const { return record().plan.micro_batch_sizes.size(); }
  const ReplayRecord& record() const {
    assert(record_ != nullptr);
    return *record_;
  }

 private:
  struct MicroBatchProgress {
    Stage stage = Stage::kNothing;
    bool resend = false;
    std::vector<float> z;            // B
    std::vector<float> u;            // B×D
    std::vector<uint32_t> own_rows;  // ascending
    std::vector<float> own_centers;  // B×D: in the rows of their samples, then packed to the front
  };

  bool AwaitsStatistics(size_t micro_batch) const {
    const Stage stage = progress_[micro_batch].stage;
    return stage == Stage::kQueued || stage == Stage::kRunning;
  }
  // The result for a message that was received before, with the same bytes or with others.
  absl::Status Repeat(bool same, const char* what, const Key& key);
  uint32_t InFlightOf(uint32_t worker) const;
  bool HasQueued(bool in_order) const;
  bool samples_classes() const { return options_.sample_rate < 1.0; }
  void NoteNonFinite(const char* what, uint32_t micro_batch);

  ReplayRecord* record_ = nullptr;  // the log's
  head::HeadOptions options_;
  std::vector<MicroBatchProgress> progress_;  // as many as the longest step had micro-batches
  std::vector<uint32_t> queued_;              // in order of arrival
  std::vector<int64_t> all_labels_;           // of the step, where classes are sampled and it has begun
  size_t labelled_ = 0;                       // micro-batches whose labels have been received
  bool begun_ = false;
  uint32_t next_in_order_ = 0;  // micro-batches that pass 1 has taken, where it takes them in order
  size_t done_ = 0;
  size_t resends_ = 0;
  bool voted_ = false;
  bool gradient_taken_ = false;
  std::string non_finite_;  // describes the first values that were not finite
  uint64_t repeats_ = 0;
};

}  // namespace arcshard::shard
