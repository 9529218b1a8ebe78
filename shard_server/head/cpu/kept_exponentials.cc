#include "shard_server/head/cpu/kept_exponentials.h"

#include <algorithm>
#include <cassert>

namespace arcshard::head {

absl::Status KeptExponentials::Init(int64_t budget_bytes) {
  budget_ = budget_bytes;
  if (budget_ == 0) return absl::OkStatus();
  return memory_.Reserve(budget_, "kept exponentials (the exponentials' budget)");
}

void KeptExponentials::AddGroup(int64_t samples, int64_t blocks, int64_t bytes_per_block) {
  assert(bytes_per_block % 64 == 0);
  Group group = {samples, blocks, 0, bytes_per_block, used_};
  if (bytes_per_block > 0) group.kept_blocks = std::min(blocks, (budget_ - used_) / bytes_per_block);
  used_ += group.kept_blocks * bytes_per_block;
  groups_.push_back(group);
}

void KeptExponentials::Clear() {
  groups_.clear();
  used_ = 0;
}

void* KeptExponentials::Slot(int64_t group, int64_t block) const {
  assert(group < groups() && block < groups_[static_cast<size_t>(group)].blocks);
  const Group& g = groups_[static_cast<size_t>(group)];
  if (g.kept_blocks == 0) return nullptr;
  // A block is kept if the integer block·kept_blocks/blocks increases after it.
  const int64_t slot = block * g.kept_blocks / g.blocks;
  if ((block + 1) * g.kept_blocks / g.blocks == slot) return nullptr;
  return memory_.data() + g.offset + slot * g.bytes_per_block;
}

}  // namespace arcshard::head
