#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "absl/status/statusor.h"
#include "common/protocol/types.h"
#include "shard_server/state/log/record_pool.h"
#include "shard_server/state/log/replay_record.h"

namespace arcshard::shard {

// The records of a shard's steps, in order and without gaps:
//
//   start() ─ record ─ record ─ ··· ─ record ─ newest() ─ undecided record
//
// Only the last record may be undecided; its address is stable until it is decided or void. Decided ones never change,
// and whoever has a pointer to one may read it after the log has released it; then its memory is reused. Once as many
// records exist as the log holds at a time, nothing that grows with a step's size is allocated. Thread-compatible.
class ReplayLog {
 public:
  // Forgets everything: the next record is of the step after `start`.
  void Restart(const StatePoint& start);

  // Returns an empty record for the step of `plan`. Requires: it is the step after newest(), and no record is
  // undecided.
  ReplayRecord* Append(const View& view, const StepPlan& plan);

  // Writes the decision into the undecided record and returns that. Requires: the record is of this step.
  std::shared_ptr<const ReplayRecord> Decide(const Decision& decision);

  // Removes the undecided record. Requires: there is one, and nobody uses it.
  void Void();

  // Adds a record that was decided elsewhere. Requires: as for Append.
  void Add(std::shared_ptr<const ReplayRecord> decided);

  // Releases the decided records up to that of `step`.
  void ReleaseThrough(uint64_t step);

  // Frees the memory that is kept for records to come.
  void FreeReleased() { pool_.Clear(); }

  // The record of the step that follows `point`. NotFound: no decided record has followed it here, because the log
  // begins later or ends earlier, or because the state after that step had another lineage. OutOfRange: `point` is
  // newest().
  absl::StatusOr<std::shared_ptr<const ReplayRecord>> After(const StatePoint& point) const;

  // Whether one of the decided records leads from `point` or to it.
  bool Passes(const StatePoint& point) const;

  const StatePoint& start() const { return start_; }
  const StatePoint& newest() const { return decided_.empty() ? start_ : decided_.back()->after; }
  size_t size() const { return decided_.size() + (undecided_ != nullptr ? 1 : 0); }
  uint64_t bytes() const { return decided_bytes_ + undecided_bytes(); }  // of the inputs in all records
  uint64_t undecided_bytes() const { return undecided_ != nullptr ? undecided_->bytes() : 0; }

 private:
  const StatePoint& PointAt(size_t i) const { return i == 0 ? start_ : decided_[i - 1]->after; }  // before record i

  StatePoint start_;
  std::deque<std::shared_ptr<const ReplayRecord>> decided_;  // by step, ascending
  std::shared_ptr<ReplayRecord> undecided_;
  uint64_t decided_bytes_ = 0;
  RecordPool pool_;
};

}  // namespace arcshard::shard
