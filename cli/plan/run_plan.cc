#include "cli/plan/run_plan.h"

#include <algorithm>
#include <cmath>

#include "common/config/head_memory.h"
#include "common/protocol/wire_type.h"

namespace arcshard {
namespace {

constexpr int64_t kFloat = sizeof(float);

// Resident memory of a shard without classes, measured with LibTorch 2.15 and gRPC 1.51 of Debian 12 on x86-64 (a range
// of 64 classes, batch 64): 79 MB are pages of the program and its libraries, 56 MB of them LibTorch's, which processes
// of one machine share; 54 MB are heap, nearly all of it LibTorch's tables of operators; and 5 MB belong to gRPC and
// threads.
constexpr int64_t kProcess = 138'000'000;

// Rows of D floats per sample of the batch: embedding, U and own centers, each for the current step and the one before
// it (ARCHITECTURE "Memory"), and the three forms of the embeddings that pass 2 prepares (PreparedGroup: floats, and
// the factors of two products).
constexpr int64_t kRowsOfBatch = 3 * 2 + 3;
// Rows per sample in flight (max_in_flight micro-batches of each worker), besides a row of U for each thread: pieces
// that are being assembled, an embedding that waits for its step, the two factors of pass 1, and protobuf messages and
// gRPC slices in both directions, where two rows leave for each that arrives. Measured together with U: 10.3 to 13.2 at
// B from 256 to 1024. cluster.wire bfloat16, which makes messages smaller, is not taken off.
constexpr int64_t kRowsInFlight = 11;
// A thread's gradient of a block of class centers (head/block_plan.cc).
constexpr int64_t kBlockOfThread = int64_t{512} << 10;

int64_t CeilOfQuotient(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Expected number of the range's classes that take part in a step if the B samples are spread evenly over all classes.
// A class takes part if it is drawn (DESIGN §1, Sampling) or is a target.
int64_t ClassesInStep(const RunConfig& config, int64_t classes, int64_t num_classes) {
  const double rate = config.head.sample_rate;
  if (rate >= 1.0) return classes;
  const double never =
      std::pow(1.0 - 1.0 / static_cast<double>(num_classes), static_cast<double>(config.data.batch_size));
  return std::min(classes,
                  static_cast<int64_t>(std::llround(static_cast<double>(classes) * (1.0 - (1.0 - rate) * never))));
}

int64_t StepBuffers(const RunConfig& config) {
  const int64_t row = config.backbone.embedding_size * kFloat;
  const int64_t in_flight =
      std::min<int64_t>(config.data.batch_size, static_cast<int64_t>(config.cluster.max_in_flight) *
                                                    config.cluster.workers * config.data.micro_batch_size);
  const int64_t threads = config.cluster.shard_threads;
  return (kRowsOfBatch * config.data.batch_size + (kRowsInFlight + threads) * in_flight) * row +
         threads * kBlockOfThread;
}

// The traffic of DESIGN §1: a worker sends labels of 8 bytes, E, and then r and t to every shard. It receives z and U
// from every shard, and the center of the sample's class from the shard that owns the class.
StepTraffic TrafficOf(const RunConfig& config, int64_t shards) {
  const int64_t batch = config.data.batch_size;
  const int64_t share = CeilOfQuotient(batch, config.cluster.workers);
  const int64_t row = config.backbone.embedding_size * BytesOfValue(WireTypeOf(config));
  const int64_t there = row + static_cast<int64_t>(sizeof(int64_t)) + 2 * kFloat, back = row + kFloat;
  return {.worker_sends = shards * share * there,
          .worker_receives = shards * share * back + share * row,
          .shard_sends = batch * back + CeilOfQuotient(batch, shards) * row,
          .shard_receives = batch * there};
}

RunPlan PlanOf(const RunConfig& config, int64_t num_classes, int64_t shards, int64_t classes) {
  RunPlan plan;
  plan.num_classes = num_classes;
  plan.classes_of_shard = classes;
  plan.classes_in_step = ClassesInStep(config, classes, num_classes);
  plan.bytes_per_class = HeadBytesPerClass(config);
  plan.exponentials_wanted = HeadExponentialBytes(config, plan.classes_in_step);
  const HeadBytes each = HeadBytesOfAClass(config);
  plan.shard = {.weights = classes * each.weights,
                .moments = classes * each.moments,
                .counts = classes * each.count,
                .inverse_norms = classes * each.inverse_norm,
                .active_list = config.head.sample_rate < 1.0 ? plan.classes_in_step * int64_t{sizeof(int64_t)} : 0,
                .exponentials = std::min(plan.exponentials_wanted, config.head.exp_budget_mb << 20),
                .step_buffers = StepBuffers(config),
                .replay_log = ReplayLogBytes(config, shards),
                .process = kProcess};
  if (config.checkpoint.every_minutes > 0 || config.checkpoint.every_steps > 0) {
    plan.shard.checkpoint_copies = std::min(plan.shard.checkpoint_file(), config.checkpoint.buffer_mb << 20);
  }
  // E, labels, r and t for the batch (replay_record.h; DESIGN §4).
  const int64_t row = config.backbone.embedding_size * kFloat;
  plan.replay_record = config.data.batch_size * (row + static_cast<int64_t>(sizeof(int64_t)) + 2 * kFloat);
  plan.traffic = TrafficOf(config, shards);
  return plan;
}

}  // namespace

RunPlan PlanRun(const RunConfig& config, int64_t num_classes) {
  const int64_t shards = config.cluster.shards;
  return PlanOf(config, num_classes, shards, CeilOfQuotient(num_classes, shards));
}

// Resident memory never decreases when classes are added, so both answers are found by bisection; among numbers of
// shards from two on, since a single one keeps no replay log.

int64_t ShardsNeeded(const RunConfig& config, int64_t num_classes, int64_t bytes_per_shard) {
  const auto fits = [&](int64_t shards) {
    return PlanOf(config, num_classes, shards, CeilOfQuotient(num_classes, shards)).shard.resident() <= bytes_per_shard;
  };
  if (fits(1)) return 1;
  int64_t too_few = 1, enough = num_classes;
  if (num_classes < 2 || !fits(enough)) return 0;
  while (enough - too_few > 1) {
    const int64_t middle = too_few + (enough - too_few) / 2;
    (fits(middle) ? enough : too_few) = middle;
  }
  return enough;
}

int64_t ClassesThatFit(const RunConfig& config, int64_t shards, int64_t bytes_per_shard) {
  int64_t fit = 0, too_many = bytes_per_shard / HeadBytesPerClass(config) + 1;
  while (too_many - fit > 1) {
    const int64_t middle = fit + (too_many - fit) / 2;
    (PlanOf(config, middle, shards, middle).shard.resident() <= bytes_per_shard ? fit : too_many) = middle;
  }
  return fit;
}

}  // namespace arcshard
