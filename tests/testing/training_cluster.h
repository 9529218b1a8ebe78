#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "common/config/run_config.h"
#include "tests/testing/shard_cluster.h"
#include "worker/backbone/backbone.h"
#include "worker/backbone/layers/named_tensor.h"
#include "worker/training/trainer.h"

namespace arcshard {

struct TrainingOptions {
  RunConfig config;  // its cluster section is not read; of run.folder checkpoints and logs, if asked for
  size_t shards = 1;
  size_t workers = 1;
  Transport transport = Transport::kInProcess;
  // Makes each worker's backbone; by default what the config names.
  std::function<absl::StatusOr<std::unique_ptr<worker::Backbone>>(const worker::BackboneOptions&, size_t worker)>
      backbone;
  uint64_t incarnation = 1;     // of the coordinator that there would be
  std::string checkpoint = {};  // folder that the run goes on from; empty: it begins
};

// A whole run in one process, less its coordinator: shards, and a thread with a Trainer for each worker, which sum over
// Gloo. For tests that compare runs; used by one thread.
class TrainingCluster {
 public:
  static absl::StatusOr<std::unique_ptr<TrainingCluster>> Start(const TrainingOptions& options);
  virtual ~TrainingCluster() = default;

  // Computes step t of the run's plan on all workers; the votes of workers and shards together.
  virtual absl::StatusOr<worker::StepVote> Compute(uint64_t step) = 0;
  // What the coordinator would say about it. checkpoint: the state after it is to become one.
  virtual absl::Status Decide(uint64_t step, Outcome outcome, double lr, bool checkpoint = false) = 0;
  // Both, from the next step on until `last`, all committed.
  absl::Status Train(uint64_t last, double lr);

  // Waits for the checkpoint that a decision asked for, and makes it complete; its folder.
  virtual absl::StatusOr<std::string> AwaitCheckpoint() = 0;

  virtual uint64_t decided() const = 0;  // the last step that was
  // The backbone's parameters and running statistics in one row, of one worker.
  virtual at::Tensor Model(size_t worker) = 0;
  // All that one worker has from one step to the next, by copies.
  virtual std::vector<worker::NamedTensor> State(size_t worker) = 0;
  virtual at::Tensor ClassCenters() = 0;  // N×D
  virtual ShardCluster& shards() = 0;
};

}  // namespace arcshard
