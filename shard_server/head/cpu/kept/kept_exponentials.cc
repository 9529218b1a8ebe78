#include "shard_server/head/cpu/kept/kept_exponentials.h"

#include <algorithm>
#include <cassert>

#include "shard_server/head/cpu/kernels/products.h"

namespace arcshard::head {

absl::Status KeptExponentials::Init(int64_t budget_bytes) {
  budget_ = budget_bytes;
  if (budget_ == 0) return absl::OkStatus();
  return memory_.Reserve(budget_, "kept exponentials (the exponentials' budget)");
}

void KeptExponentials::AddGroup(int64_t samples, const BlockPlan& plan, int64_t bytes_per_row) {
  assert(kRowUnit * bytes_per_row % 64 == 0);
  const int64_t blocks = static_cast<int64_t>(plan.blocks.size());
  Group group = {.samples = samples,
                 .blocks = blocks,
                 .kept_blocks = 0,
                 .bytes_per_row = bytes_per_row,
                 .bytes_per_block = RoundedUp(plan.max_rows, kRowUnit) * bytes_per_row,
                 .offset = used_};
  const int64_t rows = blocks == 0 ? 0 : RoundedUp(plan.blocks.back().begin + plan.blocks.back().rows, kRowUnit);
  if (rows * bytes_per_row <= budget_ - used_) {
    group.kept_blocks = blocks;
    used_ += rows * bytes_per_row;
  } else {
    group.kept_blocks = std::min(blocks, (budget_ - used_) / group.bytes_per_block);
    used_ += group.kept_blocks * group.bytes_per_block;
  }
  groups_.push_back(group);
}

void KeptExponentials::Clear() {
  groups_.clear();
  used_ = 0;
}

absl::Span<unsigned char> KeptExponentials::Rest() const {
  if (budget_ == 0) return {};
  return {memory_.data() + used_, static_cast<size_t>(budget_ - used_)};
}

void* KeptExponentials::Slot(int64_t group, int64_t number, const Block& block) const {
  if (group >= groups()) return nullptr;
  const Group& g = groups_[static_cast<size_t>(group)];
  assert(number < g.blocks);
  if (g.kept_blocks == 0 || g.bytes_per_block == 0) return nullptr;
  if (g.kept_blocks == g.blocks) return memory_.data() + g.offset + block.begin * g.bytes_per_row;
  // A block is kept if the integer number·kept_blocks/blocks increases after it.
  const int64_t slot = number * g.kept_blocks / g.blocks;
  if ((number + 1) * g.kept_blocks / g.blocks == slot) return nullptr;
  return memory_.data() + g.offset + slot * g.bytes_per_block;
}

}  // namespace arcshard::head
