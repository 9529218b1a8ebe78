#include "shard_server/state/log/replay_log.h"

#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"

namespace arcshard::shard {

void ReplayLog::Restart(const StatePoint& start) {
  decided_.clear();
  decided_bytes_ = 0;
  undecided_.reset();
  start_ = start;
}

ReplayRecord* ReplayLog::Append(const View& view, const StepPlan& plan) {
  assert(undecided_ == nullptr && plan.step == newest().step + 1);
  undecided_ = pool_.Take();
  undecided_->Reset(view, plan);
  return undecided_.get();
}

std::shared_ptr<const ReplayRecord> ReplayLog::Decide(const Decision& decision) {
  assert(undecided_ != nullptr && undecided_->plan.step == decision.step && undecided_->view == decision.view);
  undecided_->outcome = decision.outcome;
  undecided_->lr = decision.lr;
  undecided_->after = decision.after();
  Add(std::exchange(undecided_, nullptr));
  return decided_.back();
}

void ReplayLog::Void() {
  assert(undecided_ != nullptr);
  undecided_.reset();
}

void ReplayLog::Add(std::shared_ptr<const ReplayRecord> decided) {
  assert(undecided_ == nullptr && decided->outcome.has_value() && decided->after.step == newest().step + 1);
  decided_bytes_ += decided->bytes();
  decided_.push_back(std::move(decided));
}

void ReplayLog::ReleaseThrough(uint64_t step) {
  while (!decided_.empty() && decided_.front()->after.step <= step) {
    start_ = decided_.front()->after;
    decided_bytes_ -= decided_.front()->bytes();
    decided_.pop_front();
  }
}

absl::StatusOr<std::shared_ptr<const ReplayRecord>> ReplayLog::After(const StatePoint& point) const {
  if (point == newest()) {
    return absl::OutOfRangeError(absl::StrCat("step ", point.step, " is the last one in the log"));
  }
  if (!Passes(point)) {
    return absl::NotFoundError(absl::StrCat("the log has the steps after ", start_.step, " up to ", newest().step,
                                            ", and does not pass the state after step ", point.step,
                                            " with the lineage ", absl::Hex(point.lineage)));
  }
  return decided_[point.step - start_.step];
}

bool ReplayLog::Passes(const StatePoint& point) const {
  return point.step >= start_.step && point.step <= newest().step && PointAt(point.step - start_.step) == point;
}

}  // namespace arcshard::shard
