#include "shard_server/state/decision_history.h"

#include <cassert>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/protocol/lineage.h"

namespace arcshard::shard {

void DecisionHistory::Forget() {
  point_.reset();
  last_.reset();
}

void DecisionHistory::MoveTo(const StatePoint& point) {
  point_ = point;
  last_.reset();
}

void DecisionHistory::Learn(const Decision& decision) {
  assert(point_ == decision.after());
  last_ = decision;
}

absl::StatusOr<DecisionHistory::Order> DecisionHistory::Check(const Decision& decision) const {
  assert(point_.has_value());
  const std::string received = absl::StrCat("the decision of step ", decision.step, " was received");
  const uint64_t next = point_->step + 1;
  if (decision.step < next) {
    if (decision == last_) return Order::kRepeated;
    if (decision.step == point_->step && last_.has_value()) {
      return absl::AlreadyExistsError(absl::StrCat(received, " before with other contents"));
    }
    return absl::FailedPreconditionError(absl::StrCat(received, " again after that of step ", point_->step));
  }
  if (decision.step > next) {
    return absl::FailedPreconditionError(absl::StrCat(received, ", but step ", next, " is the next to be decided"));
  }
  if (const uint64_t lineage = ExtendLineage(point_->lineage, decision); decision.lineage != lineage) {
    return absl::InternalError(absl::StrCat(received, " with the lineage ", absl::Hex(decision.lineage),
                                            ", but on the state here it leads to ", absl::Hex(lineage)));
  }
  return Order::kNext;
}

void DecisionHistory::Add(const Decision& decision) {
  assert(point_.has_value() && decision.step == point_->step + 1);
  point_ = decision.after();
  last_ = decision;
}

}  // namespace arcshard::shard
