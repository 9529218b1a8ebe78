#pragma once

#include "common/metrics/metric_list.h"

namespace arcshard::worker {

// The histograms of the phases of a worker's step, looked up once. Each gets one value per step or micro-batch.
struct PhaseHistograms {
  explicit PhaseHistograms(ProcessMetrics* metrics)
      : data_wait(metrics->step_phase.With(kDataWait)),
        forward(metrics->step_phase.With(kForward)),
        wait_for_shards(metrics->step_phase.With(kWaitForShards)),
        loss(metrics->step_phase.With(kLossPhase)),
        backward(metrics->step_phase.With(kBackward)),
        all_reduce(metrics->step_phase.With(kAllReduce)),
        vote(metrics->step_phase.With(kVote)),
        optimizer(metrics->step_phase.With(kOptimizer)),
        evaluation(metrics->step_phase.With(kEvaluation)) {}

  Histogram& data_wait;
  Histogram& forward;
  Histogram& wait_for_shards;
  Histogram& loss;
  Histogram& backward;
  Histogram& all_reduce;
  Histogram& vote;
  Histogram& optimizer;
  Histogram& evaluation;
};

}  // namespace arcshard::worker
