#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "shard_server/head/cpu/buffer.h"

namespace arcshard::head {

// The blocks of Q that pass 1 leaves for pass 2, within a budget of bytes: groups take what is left in the order they
// come, and where a group's blocks don't all fit, those that do are spread evenly, so that all threads profit alike.
// Thread-compatible; Slot may be called by all threads at once.
class KeptExponentials {
 public:
  // ResourceExhausted: the budget can't be had.
  absl::Status Init(int64_t budget_bytes);

  // The next group: `samples` of it, and `blocks` blocks of `bytes_per_block`, a multiple of 64.
  void AddGroup(int64_t samples, int64_t blocks, int64_t bytes_per_block);

  // All groups are done with.
  void Clear();

  int64_t groups() const { return static_cast<int64_t>(groups_.size()); }
  int64_t samples(int64_t group) const { return groups_[static_cast<size_t>(group)].samples; }

  // Where the block's Q is kept, at a 64-byte boundary; null: it is not.
  void* Slot(int64_t group, int64_t block) const;

 private:
  struct Group {
    int64_t samples = 0;
    int64_t blocks = 0;
    int64_t kept_blocks = 0;
    int64_t bytes_per_block = 0;
    int64_t offset = 0;
  };

  Buffer<unsigned char> memory_;
  int64_t budget_ = 0;  // bytes
  int64_t used_ = 0;
  std::vector<Group> groups_;
};

}  // namespace arcshard::head
