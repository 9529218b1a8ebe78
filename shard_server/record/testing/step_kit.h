#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "common/protocol/lineage.h"
#include "shard_server/record/record_file.h"

// For tests of a run's history: recorded steps.
namespace arcshard::shard {

// The step after `before`, in view 1.`counter` of two workers and two shards, with 100 classes. Its values differ from
// those of other steps.
inline RecordedStep MakeStep(const StatePoint& before, Outcome outcome = Outcome::kCommit, uint64_t counter = 2) {
  auto record = std::make_shared<ReplayRecord>();
  const uint64_t step = before.step + 1;
  record->Reset({1, counter}, {step, 3, 5 * before.step, {2, 3}});
  record->workers = {4, 6};
  for (uint32_t i = 0; i < 2; ++i) {
    MicroBatchRecord& inputs = record->micro_batches[i];
    inputs.worker = record->workers[i];
    for (uint32_t sample = 0; sample < record->plan.micro_batch_sizes[i]; ++sample) {
      const float value = static_cast<float>(step + 10 * i + sample);
      inputs.labels.push_back(static_cast<int64_t>(step + 10 * i + sample) % 100);
      inputs.r.push_back(value / 7);
      inputs.t.push_back(-value / 3);
      inputs.embedding.insert(inputs.embedding.end(), {value, value / 5, -value});
    }
  }
  record->groups = {{1}, {0}};
  record->outcome = outcome;
  record->lr = 0.1 / static_cast<double>(step);
  const Decision decision{.view = record->view, .step = step, .outcome = outcome, .lr = record->lr, .next = {}};
  record->after = {step, ExtendLineage(before.lineage, decision)};
  return {std::move(record), before, {40, 100}, 0xfedcba9876543210};
}

// Whether both say the same, bit by bit.
inline bool SameStep(const RecordedStep& a, const RecordedStep& b) {
  const auto same = [](const auto& one, const auto& other) {
    return one.size() == other.size() && std::memcmp(one.data(), other.data(), one.size() * sizeof(one[0])) == 0;
  };
  const ReplayRecord& x = *a.record;
  const ReplayRecord& y = *b.record;
  if (!(a.before == b.before) || a.range_ends != b.range_ends || a.configuration != b.configuration ||
      x.view != y.view || !(x.plan == y.plan) || x.workers != y.workers || x.groups != y.groups ||
      x.outcome != y.outcome || x.lr != y.lr || !(x.after == y.after)) {
    return false;
  }
  for (size_t i = 0; i < x.plan.micro_batch_sizes.size(); ++i) {
    const MicroBatchRecord& one = x.micro_batches[i];
    const MicroBatchRecord& other = y.micro_batches[i];
    if (one.worker != other.worker || !same(one.labels, other.labels) || !same(one.embedding, other.embedding) ||
        !same(one.r, other.r) || !same(one.t, other.t)) {
      return false;
    }
  }
  return true;
}

}  // namespace arcshard::shard
