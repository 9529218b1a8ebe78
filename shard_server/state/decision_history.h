#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/status/statusor.h"
#include "common/protocol/types.h"

namespace arcshard::shard {

// The decisions of a view, in order. The first one repeats the view's last decided step c and commits nothing; those of
// c + 1, c + 2, ... follow without gaps. Thread-compatible.
class DecisionHistory {
 public:
  enum class Order { kNext, kRepeated };

  // Starts the history of a view that continues after `last_decided_step`. Requires: no decision was added yet.
  void Start(const View& view, uint64_t last_decided_step);

  // Whether the decision is the next one or repeats the last one. FailedPrecondition: it is older than the last one, or
  // steps are missing between, or it is not the view's first. AlreadyExists: it repeats the last step with other
  // contents. InvalidArgument: the first decision is a skip.
  absl::StatusOr<Order> Check(const Decision& decision) const;

  // Requires: Check says kNext.
  void Add(const Decision& decision);

  bool started() const { return next_ > first_; }                     // whether the first decision was added
  uint64_t undecided() const { return std::max(next_, first_ + 1); }  // the first step whose outcome is open
  uint64_t last_step() const { return last_.step; }                   // 0 before the first decision
  uint64_t lineage() const { return lineage_; }                       // of all decisions that were added

 private:
  View view_;
  uint64_t first_ = 0;  // the view's last decided step
  uint64_t next_ = 0;   // the step of the next decision
  Decision last_;
  uint64_t lineage_ = 0;
};

}  // namespace arcshard::shard
