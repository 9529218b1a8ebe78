#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/cpu/block_plan.h"
#include "shard_server/head/cpu/block_rows.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/cpu/worker_pool.h"
#include "shard_server/head/head_options.h"
#include "shard_server/head/random_draws.h"

namespace arcshard::head {

// Which of a shard's classes take part in a step, and how threads divide them. The rows that take part have places
// 0, 1, ... in the order of rows; without sampling a row's place is the row. Thread-compatible.
class StepPlan {
 public:
  explicit StepPlan(const HeadOptions& options);

  // ResourceExhausted: no memory for the list of rows.
  absl::Status Allocate();

  // Chooses the classes of step `step`: those that are drawn and those among `labels`, which were checked.
  void Choose(uint64_t step, absl::Span<const int64_t> labels, WorkerPool& pool);

  // Sampled, and the label was not among Choose's.
  bool Unannounced(int64_t label) const;

  const BlockPlan& blocks() const { return blocks_; }
  int64_t LargestBlock() const { return BlockPlan::LargestBlock(range_.size(), dim_); }
  BlockRows RowsOf(const Block& block) const {
    return {block.begin, block.rows, sampled_ ? active_.data() + block.begin : nullptr};
  }
  // Of a class that is in the shard's range and takes part.
  int64_t PlaceOf(int64_t label) const;

 private:
  const ClassRange range_;
  const int64_t dim_;
  const int threads_;
  const bool sampled_;
  const SamplingDraw draw_;
  BlockPlan blocks_;
  std::vector<int64_t> labels_;  // of the step, sorted, each once
  Buffer<int64_t> active_;       // rows that take part, in order
  int64_t num_active_ = 0;
  std::vector<int64_t> found_;  // by each thread
};

}  // namespace arcshard::head
