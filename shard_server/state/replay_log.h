#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "common/protocol/types.h"
#include "shard_server/state/replay_record.h"

namespace arcshard::shard {

// The records of a shard's steps, in order. The log owns them and reuses their memory:
//
//            Append             Decide               ReleaseBefore
//   pooled ────────► undecided ────────► decided ───────────────────► pooled
//
// Only the newest record is ever undecided. A record's address is stable until the record is released. Once as many
// records exist as the log holds at a time, nothing that grows with a step's size is allocated. Thread-compatible.
class ReplayLog {
 public:
  // Returns an empty record for the step of `plan`. Requires: the step comes after those in the log, which are decided.
  ReplayRecord* Append(const View& view, const StepPlan& plan);

  // Writes the decision into the newest record and returns that. Requires: the record is of this step and undecided.
  const ReplayRecord* Decide(const Decision& decision);

  // Releases the records of all steps before `step`. Requires: they are no longer in use.
  void ReleaseBefore(uint64_t step);

  size_t size() const { return records_.size(); }
  const ReplayRecord& operator[](size_t i) const { return *records_[i]; }  // by step, ascending
  uint64_t bytes() const;                                                  // of the inputs in all records

 private:
  std::deque<std::unique_ptr<ReplayRecord>> records_;  // by step, ascending
  std::vector<std::unique_ptr<ReplayRecord>> pool_;
};

}  // namespace arcshard::shard
