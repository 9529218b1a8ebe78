#pragma once

#include <cstdint>

#include "common/config/run_config.h"

// What a run takes, computed from its configuration alone: the memory of a shard, the replay record of a step, and the
// network traffic of a step. All figures are bytes and hold for the shard with the largest range. N classes over K
// shards, D dimensions, B samples of a batch, M workers.
namespace arcshard {

// The resident memory of a shard on the CPU while it trains, and its part of a checkpoint.
struct ShardBytes {
  int64_t weights = 0;            // in the type head.weights
  int64_t moments = 0;            // in the type head.moments: one for sgd, two for adamw
  int64_t counts = 0;             // for adamw: the number of steps that each class took part in
  int64_t inverse_norms = 0;      // 1/|w|
  int64_t active_list = 0;        // with sampling: the classes that take part in the step
  int64_t exponentials = 0;       // kept from pass 1 for pass 2: the part of head.exp_budget_mb that a step uses
  int64_t step_buffers = 0;       // batches and statistics in flight, blocks of threads
  int64_t replay_log = 0;         // of the host's memory too where there is a GPU: cluster.log_mb, if it has peers
  int64_t process = 0;            // the program, LibTorch and gRPC, independent of the run
  int64_t checkpoint_copies = 0;  // the most that is copied while a checkpoint is written

  int64_t state() const { return weights + moments + counts + inverse_norms; }
  int64_t resident() const { return state() + active_list + exponentials + step_buffers + replay_log + process; }
  int64_t checkpoint_file() const { return weights + moments + counts; }
};

// Bytes of the tensors that cross the network in one step; framing and retransmission add less than a hundredth.
struct StepTraffic {
  int64_t worker_sends = 0;     // to all shards together
  int64_t worker_receives = 0;  // from all shards together
  int64_t shard_sends = 0;
  int64_t shard_receives = 0;
};

struct RunPlan {
  int64_t num_classes = 0;          // N
  int64_t classes_of_shard = 0;     // ceil(N/K), the largest range
  int64_t classes_in_step = 0;      // how many of them take part in a step; with sampling the expected number
  int64_t bytes_per_class = 0;      // HeadBytesPerClass
  int64_t exponentials_wanted = 0;  // a shard needs so many bytes to compute no exponential twice
  ShardBytes shard;
  int64_t replay_record = 0;  // for one step, on each shard; its log holds as many as fit
  StepTraffic traffic;
};

// Requires a valid configuration and num_classes >= 1. The config.cluster.shards shards have the same capacity.
RunPlan PlanRun(const RunConfig& config, int64_t num_classes);

// The smallest number of shards with at most `bytes_per_shard` resident bytes each; 0: no number is enough.
int64_t ShardsNeeded(const RunConfig& config, int64_t num_classes, int64_t bytes_per_shard);

// The largest number of classes that fit in a shard of `bytes_per_shard`, which is one of `shards`; 0: none.
int64_t ClassesThatFit(const RunConfig& config, int64_t shards, int64_t bytes_per_shard);

}  // namespace arcshard
