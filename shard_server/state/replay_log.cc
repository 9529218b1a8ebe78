#include "shard_server/state/replay_log.h"

#include <cassert>
#include <utility>

namespace arcshard::shard {

ReplayRecord* ReplayLog::Append(const View& view, const StepPlan& plan) {
  assert(records_.empty() || records_.back()->plan.step < plan.step);
  assert(records_.empty() || records_.back()->outcome.has_value());
  if (pool_.empty()) pool_.push_back(std::make_unique<ReplayRecord>());
  records_.push_back(std::move(pool_.back()));
  pool_.pop_back();
  records_.back()->Reset(view, plan);
  return records_.back().get();
}

const ReplayRecord* ReplayLog::Decide(const Decision& decision) {
  assert(!records_.empty() && records_.back()->plan.step == decision.step);
  ReplayRecord* const record = records_.back().get();
  assert(!record->outcome.has_value());
  record->outcome = decision.outcome;
  record->lr = decision.lr;
  return record;
}

void ReplayLog::ReleaseBefore(uint64_t step) {
  while (!records_.empty() && records_.front()->plan.step < step) {
    pool_.push_back(std::move(records_.front()));
    records_.pop_front();
  }
}

uint64_t ReplayLog::bytes() const {
  uint64_t bytes = 0;
  for (const std::unique_ptr<ReplayRecord>& record : records_) bytes += record->bytes();
  return bytes;
}

}  // namespace arcshard::shard
