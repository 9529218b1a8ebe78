#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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
  // Of its cluster section only `wire` counts; run.folder is used for checkpoints and logs that are asked for.
  RunConfig config;
  size_t shards = 1;
  size_t workers = 1;
  Transport transport = Transport::kInProcess;
  // Makes each worker's backbone; by default the one that the configuration names.
  std::function<absl::StatusOr<std::unique_ptr<worker::Backbone>>(const worker::BackboneOptions&, size_t worker)>
      backbone;
  uint64_t incarnation = 1;     // of the run, whose first view has the counter 1
  std::string checkpoint = {};  // folder that the run resumes from; empty: a new run
};

// For tests that compare runs: a whole run in one process, without a coordinator. It has shards, and for each worker a
// Trainer; the workers work on threads of their own and sum over Gloo. Not thread-safe.
class TrainingCluster {
 public:
  static absl::StatusOr<std::unique_ptr<TrainingCluster>> Start(const TrainingOptions& options);
  virtual ~TrainingCluster() = default;

  // Computes a step of the run's plan on all workers. Returns the votes of workers and shards as one.
  virtual absl::StatusOr<worker::StepVote> Compute(uint64_t step) = 0;
  // Takes the place of the coordinator's decision about it. checkpoint: the state after it becomes a checkpoint.
  virtual absl::Status Decide(uint64_t step, Outcome outcome, double lr, bool checkpoint = false) = 0;
  // Computes and commits every step from the next one to `last`.
  absl::Status Train(uint64_t last, double lr);

  // The next view, with connections of its own for everybody: it voids the step that is computed and not decided.
  // replaced: another process takes the place of this worker, and copies the state of one that holds it.
  virtual absl::Status EnterNextView(std::optional<size_t> replaced = std::nullopt) = 0;

  // Waits for the checkpoint that a decision asked for and completes it. Returns its folder.
  virtual absl::StatusOr<std::string> AwaitCheckpoint() = 0;

  virtual uint64_t decided() const = 0;  // the last decided step
  // One worker's parameters and running statistics, in one row.
  virtual at::Tensor Model(size_t worker) = 0;
  // Copies of all tensors that one worker carries from one step to the next.
  virtual std::vector<worker::NamedTensor> State(size_t worker) = 0;
  virtual at::Tensor ClassCenters() = 0;  // N×D
  virtual ShardCluster& shards() = 0;
};

}  // namespace arcshard
