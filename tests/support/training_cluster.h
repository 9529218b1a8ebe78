#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "common/config/run_config.h"
#include "tests/support/shard_cluster.h"
#include "worker/backbone/backbone.h"
#include "worker/training/trainer.h"

namespace arcshard {

struct TrainingOptions {
  RunConfig config;  // data, head, loss, optimizer and seed of the run; its cluster section is not read
  size_t shards = 1;
  size_t workers = 1;
  Transport transport = Transport::kInProcess;
  // Makes each worker's backbone; by default what the config names.
  std::function<absl::StatusOr<std::unique_ptr<worker::Backbone>>(const worker::BackboneOptions&, size_t worker)>
      backbone;
};

// A whole run in one process, less its coordinator: shards, and a thread with a Trainer for each worker, which sum over
// Gloo. For tests that compare runs; used by one thread.
class TrainingCluster {
 public:
  static absl::StatusOr<std::unique_ptr<TrainingCluster>> Start(const TrainingOptions& options);
  virtual ~TrainingCluster() = default;

  // Computes step t of the run's plan on all workers; the votes of workers and shards together.
  virtual absl::StatusOr<worker::StepVote> Compute(uint64_t step) = 0;
  // What the coordinator would say about it.
  virtual absl::Status Decide(uint64_t step, Outcome outcome, double lr) = 0;
  // Both, steps 1 to `steps`, all committed.
  absl::Status Train(uint64_t steps, double lr);

  // The backbone's parameters and running statistics in one row, of one worker.
  virtual at::Tensor Model(size_t worker) = 0;
  virtual at::Tensor ClassCenters() = 0;  // N×D
  virtual ShardCluster& shards() = 0;
};

}  // namespace arcshard
