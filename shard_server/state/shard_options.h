#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "common/base/clock.h"

namespace arcshard::shard {

// Of a ShardState.
struct ShardOptions {
  uint32_t id = 0;             // assigned by the coordinator
  int64_t dim = 0;             // D
  uint32_t batch_size = 0;     // most samples of a step
  uint32_t max_in_flight = 4;  // micro-batches of a worker that await their statistics
  bool deterministic = false;  // pass 1 takes one micro-batch at a time, in order; otherwise all that are queued
  uint64_t log_bytes = 0;      // most of the replay log; 0: there is none
  absl::Duration recovery_target = absl::InfiniteDuration();  // for a replay of the whole log
  const Clock* clock = nullptr;                               // required, and outlives the state
};

// The amount of pending work and of memory of a ShardState at one moment.
struct ShardLoad {
  size_t in_flight = 0;         // micro-batches that await their statistics
  size_t queued = 0;            // of those, the ones that wait for pass 1
  size_t early = 0;             // messages that wait for a decision or a view
  uint64_t log_steps = 0;       // records in the replay log
  uint64_t log_bytes = 0;       // of their inputs
  double replay_seconds = 0.0;  // what replaying all of them would take, as predicted
  uint64_t replayed = 0;        // records of other shards that were carried out, since the start
  uint64_t repeats = 0;         // messages received again with the same bytes, since the start
};

}  // namespace arcshard::shard
