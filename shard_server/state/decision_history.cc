#include "shard_server/state/decision_history.h"

#include <cassert>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "shard_server/state/lineage.h"

namespace arcshard::shard {

void DecisionHistory::Start(const View& view, uint64_t last_decided_step) {
  assert(!started());
  view_ = view;
  first_ = last_decided_step;
  next_ = last_decided_step;
}

absl::StatusOr<DecisionHistory::Order> DecisionHistory::Check(const Decision& decision) const {
  const std::string received = absl::StrCat("the decision of step ", decision.step, " was received");
  if (!started() && decision.step != next_) {
    return absl::FailedPreconditionError(
        absl::StrCat(received, ", but ", ToString(view_), " continues after step ", next_));
  }
  if (decision.step < next_) {
    if (decision == last_) return Order::kRepeated;
    if (decision.step == last_.step)
      return absl::AlreadyExistsError(absl::StrCat(received, " before with other contents"));
    return absl::FailedPreconditionError(absl::StrCat(received, " again after that of step ", last_.step));
  }
  if (decision.step > next_) {
    return absl::FailedPreconditionError(absl::StrCat(received, ", but step ", next_, " is the next to be decided"));
  }
  if (!started() && decision.outcome != Outcome::kCommit) {
    return absl::InvalidArgumentError(
        absl::StrCat("the first decision, of step ", decision.step, ", must be a commit that changes nothing"));
  }
  return Order::kNext;
}

void DecisionHistory::Add(const Decision& decision) {
  assert(decision.step == next_);
  last_ = decision;
  lineage_ = ExtendLineage(lineage_, decision);
  ++next_;
}

}  // namespace arcshard::shard
