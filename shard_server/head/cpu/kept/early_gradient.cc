#include "shard_server/head/cpu/kept/early_gradient.h"

#include <algorithm>
#include <cassert>

#include "shard_server/head/cpu/kernels/products.h"

namespace arcshard::head {

void EarlyGradient::Start(absl::Span<unsigned char> memory, const BlockPlan& plan, int64_t dim) {
  constexpr int64_t kFloatsOfLine = 64 / sizeof(float);
  const int64_t threads = static_cast<int64_t>(plan.first_block.size()) - 1;
  plan_ = &plan;
  memory_ = reinterpret_cast<float*>(memory.data());
  floats_ = RoundedUp(RoundedUp(plan.max_rows, kRowUnit) * dim, kFloatsOfLine);
  const int64_t room = static_cast<int64_t>(memory.size() / sizeof(float));
  slots_ = floats_ == 0 ? 0 : room / (threads * floats_);
  done_.assign(static_cast<size_t>(threads), {});
}

bool EarlyGradient::HasNext(int thread) const {
  assert(started());
  return done_of(thread) < slots_ && Next(thread) < plan_->first_block[static_cast<size_t>(thread) + 1];
}

float* EarlyGradient::Of(int thread, int64_t number) const {
  assert(started());
  const int64_t place = number - plan_->first_block[static_cast<size_t>(thread)];
  return place < done_of(thread) ? SlotOf(thread, place) : nullptr;
}

}  // namespace arcshard::head
