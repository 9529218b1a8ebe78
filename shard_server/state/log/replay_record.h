#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/protocol/types.h"

// The inputs of one step and its decision: the unit of DESIGN §4's replay log. The state of a range after step t is a
// deterministic function of its state after t - 1 and of this record; what else it depends on (N, the shift, the
// sampling rate) is the same for the whole run.
namespace arcshard::shard {

// The inputs of one micro-batch of B samples, D dimensions, as the worker sent them.
struct MicroBatchRecord {
  uint32_t worker = 0;
  std::vector<int64_t> labels;   // B, in [0, N)
  std::vector<float> embedding;  // B×D, not normalised
  std::vector<float> r;          // B: alpha·s/z
  std::vector<float> t;          // B: dL/dcos of the own center
};

// The record is complete before the shard votes ready, and nothing changes it once the step is decided.
struct ReplayRecord {
  View view;  // in which the step is computed, and decided
  StepPlan plan;
  std::vector<uint32_t> workers;                // of the view, in its order
  std::vector<MicroBatchRecord> micro_batches;  // in the plan's order; unused buffers of a longer step may follow
  // The micro-batches of each call of pass 1, in the order of the calls. A matrix product of another shape may round
  // differently, so exponentials that are computed again must use the same groups.
  std::vector<std::vector<uint32_t>> groups;
  std::optional<Outcome> outcome;  // of the decision; nullopt while the step is undecided
  double lr = 0.0;                 // of the decision
  StatePoint after;                // the state that the decision leads to

  Key key(uint32_t micro_batch) const { return {view, plan.step, micro_batch}; }

  // Bytes of the inputs.
  uint64_t bytes() const {
    size_t bytes = 0;
    for (const MicroBatchRecord& each : micro_batches) {
      bytes += each.labels.size() * sizeof(int64_t);
      bytes += (each.embedding.size() + each.r.size() + each.t.size()) * sizeof(float);
    }
    return bytes;
  }

  // Makes this an empty record of `new_plan`; the buffers keep their memory.
  void Reset(const View& new_view, const StepPlan& new_plan) {
    view = new_view;
    plan = new_plan;
    workers.clear();
    if (micro_batches.size() < plan.micro_batch_sizes.size()) micro_batches.resize(plan.micro_batch_sizes.size());
    for (MicroBatchRecord& micro_batch : micro_batches) {
      micro_batch.labels.clear();
      micro_batch.embedding.clear();
      micro_batch.r.clear();
      micro_batch.t.clear();
    }
    groups.clear();
    outcome.reset();
    lr = 0.0;
    after = {};
  }
};

}  // namespace arcshard::shard
