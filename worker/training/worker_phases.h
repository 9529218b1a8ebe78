#pragma once

#include "common/metrics/metric_list.h"
#include "common/metrics/phase.h"

namespace arcshard::worker {

// The phases of a worker's step, all of them on the training loop's thread. Each is observed once a step or
// micro-batch.
struct WorkerPhases {
  explicit WorkerPhases(ProcessMetrics* metrics)
      : row(metrics->tracer, "training loop"),
        data_wait(metrics, kDataWait, row),
        forward(metrics, kForward, row),
        wait_for_shards(metrics, kWaitForShards, row),
        loss(metrics, kLossPhase, row),
        backward(metrics, kBackward, row),
        all_reduce(metrics, kAllReduce, row),
        vote(metrics, kVote, row),
        optimizer(metrics, kOptimizer, row),
        evaluation(metrics, kEvaluation, row) {}

  const TraceRow row;  // also for spans within a phase
  StepPhase data_wait, forward, wait_for_shards, loss, backward, all_reduce, vote, optimizer, evaluation;
};

}  // namespace arcshard::worker
