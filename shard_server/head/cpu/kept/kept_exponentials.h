#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/cpu/block_plan.h"
#include "shard_server/head/cpu/buffer.h"

namespace arcshard::head {

// The blocks of Q that pass 1 keeps for pass 2, within a budget of bytes. Each group takes what the groups before it
// have left. A group that fits is kept whole, in as many bytes as its rows have. Where not all blocks of a group fit,
// those that are kept are spread evenly, so that all threads benefit equally. Thread-compatible; all threads may call
// Slot at the same time.
class KeptExponentials {
 public:
  // ResourceExhausted: no memory for the budget.
  absl::Status Init(int64_t budget_bytes);

  // Adds a group with `samples` samples whose rows `plan` divides. Requires a row of kRowUnit·`bytes_per_row` bytes to
  // be a multiple of 64.
  void AddGroup(int64_t samples, const BlockPlan& plan, int64_t bytes_per_row);

  // Forgets all groups.
  void Clear();

  // The memory that the groups have left, from a 64-byte boundary on, until the next AddGroup or Clear.
  absl::Span<unsigned char> Rest() const;

  int64_t groups() const { return static_cast<int64_t>(groups_.size()); }
  int64_t samples(int64_t group) const { return groups_[static_cast<size_t>(group)].samples; }

  // Where the Q of the plan's block number `number` is kept, at a 64-byte boundary. Null if it is not kept, and for a
  // group that was not added: a replayed step has no pass 1.
  void* Slot(int64_t group, int64_t number, const Block& block) const;

 private:
  struct Group {
    int64_t samples = 0;
    int64_t blocks = 0;
    int64_t kept_blocks = 0;
    int64_t bytes_per_row = 0;
    int64_t bytes_per_block = 0;  // of the largest
    int64_t offset = 0;
  };

  Buffer<unsigned char> memory_;
  int64_t budget_ = 0;  // bytes
  int64_t used_ = 0;
  std::vector<Group> groups_;
};

}  // namespace arcshard::head
