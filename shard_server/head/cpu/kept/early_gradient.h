#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "shard_server/head/cpu/block_plan.h"

namespace arcshard::head {

// The gradients of blocks that are computed before the decision about the step, in memory that its exponentials have
// left. Each thread has an equal part of the memory, and fills it with its own first blocks. Thread-compatible; all
// threads may call Next, Add and Of at the same time, each with its own index.
class EarlyGradient {
 public:
  // Divides `memory`, from a 64-byte boundary on, for the blocks of `plan`, of which nothing is computed. Both must
  // stay until Clear.
  void Start(absl::Span<unsigned char> memory, const BlockPlan& plan, int64_t dim);
  void Clear() { plan_ = nullptr; }
  bool started() const { return plan_ != nullptr; }

  // Whether `thread` has another block, and memory for its gradient. Requires, as all that follow: started.
  bool HasNext(int thread) const;
  // The number of that block, and where its gradient, rows×D in float32, goes; rows are rounded up to a multiple of
  // kRowUnit. Requires: HasNext.
  int64_t Next(int thread) const { return plan_->first_block[static_cast<size_t>(thread)] + done_of(thread); }
  float* NextSlot(int thread) const { return SlotOf(thread, done_of(thread)); }
  // The gradient of the next block is computed.
  void Add(int thread) { ++done_[static_cast<size_t>(thread)].blocks; }

  // The gradient of the plan's block number `number`, which is `thread`'s. Null: it is not computed.
  float* Of(int thread, int64_t number) const;

 private:
  // On a cache line of its own, because each thread counts while it computes.
  struct alignas(64) Done {
    int64_t blocks = 0;
  };

  int64_t done_of(int thread) const { return done_[static_cast<size_t>(thread)].blocks; }
  float* SlotOf(int thread, int64_t place) const { return memory_ + (thread * slots_ + place) * floats_; }

  const BlockPlan* plan_ = nullptr;
  float* memory_ = nullptr;
  int64_t floats_ = 0;      // of a slot, which has room for the largest block
  int64_t slots_ = 0;       // of each thread
  std::vector<Done> done_;  // for each thread
};

}  // namespace arcshard::head
