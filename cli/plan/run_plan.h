#pragma once

#include <cstdint>

#include "common/config/run_config.h"

// What a run takes, from its configuration alone: bytes of a shard, of a step's record, on the wire. All figures are
// bytes, of the largest range; N classes over K shards, D dimensions, B samples of a batch, M workers.
namespace arcshard {

// What a shard on the CPU has resident while it trains, and its part of a checkpoint.
struct ShardBytes {
  int64_t weights = 0;            // as head.weights says
  int64_t moments = 0;            // one of sgd's, two of adamw's, as head.moments says
  int64_t counts = 0;             // adamw's, of steps that a class took part in
  int64_t inverse_norms = 0;      // 1/|w|
  int64_t active_list = 0;        // sampled: which classes take part in the step
  int64_t exponentials = 0;       // kept from pass 1 for pass 2: of head.exp_budget_mb what a step fills
  int64_t step_buffers = 0;       // batches and statistics on their way, blocks of threads
  int64_t process = 0;            // the program, LibTorch, gRPC: whatever the run is
  int64_t checkpoint_copies = 0;  // the most that is copied aside while a checkpoint is written

  int64_t state() const { return weights + moments + counts + inverse_norms; }
  int64_t resident() const { return state() + active_list + exponentials + step_buffers + process; }
  int64_t checkpoint_file() const { return weights + moments + counts; }
};

// Bytes of tensors that cross the network in one step; what frames and repeats them is less than a hundredth.
struct StepTraffic {
  int64_t worker_sends = 0;     // to all shards together
  int64_t worker_receives = 0;  // from all shards together
  int64_t shard_sends = 0;
  int64_t shard_receives = 0;
};

struct RunPlan {
  int64_t num_classes = 0;          // N
  int64_t classes_of_shard = 0;     // of the largest range: ceil(N/K)
  int64_t classes_in_step = 0;      // of them, that take part in a step: all, or those drawn and the targets, expected
  int64_t bytes_per_class = 0;      // HeadBytesPerClass
  int64_t exponentials_wanted = 0;  // of a shard: so that none is computed twice
  ShardBytes shard;
  int64_t replay_record = 0;  // of one step, on each shard
  StepTraffic traffic;
};

// Of a valid configuration, num_classes >= 1, with config.cluster.shards shards of the same capacity.
RunPlan PlanRun(const RunConfig& config, int64_t num_classes);

// The fewest shards whose resident bytes are at most `bytes_per_shard` each; 0: no number of them is enough.
int64_t ShardsNeeded(const RunConfig& config, int64_t num_classes, int64_t bytes_per_shard);

// The most classes that a shard of `bytes_per_shard` has room for; 0: none.
int64_t ClassesThatFit(const RunConfig& config, int64_t bytes_per_shard);

}  // namespace arcshard
