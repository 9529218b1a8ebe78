#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "shard_server/head/arithmetic/random_draws.h"
#include "shard_server/head/block_rows.h"
#include "shard_server/head/cpu/block_plan.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/cpu/worker_pool.h"
#include "shard_server/head/head_options.h"
#include "shard_server/head/label_set.h"

namespace arcshard::head {

// The classes of a shard that take part in a step (Partial FC, docs/design.md §1), and how threads divide them. The
// rows that take part have the places 0, 1, ... in ascending order of rows; without sampling every row takes part, and
// its place is the row itself. Thread-compatible.
class ActiveClasses {
 public:
  explicit ActiveClasses(const HeadOptions& options);

  // Call once before Choose. ResourceExhausted: no memory for the list of rows.
  absl::Status Allocate();

  // Chooses the classes of step `step`: those that are drawn and those in `labels`. Does nothing without sampling.
  void Choose(uint64_t step, const LabelSet& labels, WorkerPool& pool);

  const BlockPlan& blocks() const { return blocks_; }
  int64_t LargestBlock() const { return BlockPlan::LargestBlock(range_.size(), dim_); }
  BlockRows RowsOf(const Block& block) const {
    return {block.begin, block.rows, sampled_ ? active_.data() + block.begin : nullptr};
  }
  // Requires a class inside the shard's range that takes part.
  int64_t PlaceOf(int64_t label) const;

 private:
  const ClassRange range_;
  const int64_t dim_;
  const int threads_;
  const bool sampled_;
  const SamplingDraw draw_;
  BlockPlan blocks_;
  Buffer<int64_t> active_;  // rows that take part, ascending
  int64_t num_active_ = 0;
  std::vector<int64_t> found_;  // how many rows each thread has found
};

}  // namespace arcshard::head
