#include "worker/backbone/layers/running_statistics.h"

#include <cassert>
#include <utility>

#include "ATen/ops/zeros.h"
#include "c10/core/GradMode.h"
#include "c10/util/Exception.h"

namespace arcshard::worker {

RunningStatistics::Handle RunningStatistics::Register(at::Tensor running, double momentum) {
  TORCH_CHECK(running.scalar_type() == at::kFloat && running.is_contiguous(),
              "a running average must be contiguous float32");
  const int64_t offset = size_;
  size_ += running.numel();
  entries_.push_back({std::move(running), momentum, offset});
  pending_ = at::zeros({size_}, at::kFloat);
  return entries_.size() - 1;
}

void RunningStatistics::RegisterCounter(at::Tensor counter) { counters_.push_back(std::move(counter)); }

void RunningStatistics::MoveTo(at::Tensor pending) {
  TORCH_CHECK(pending.numel() == size_, "the sums have ", size_, " elements, not ", pending.numel());
  pending_ = std::move(pending);
}

void RunningStatistics::Deposit(Handle handle, const at::Tensor& statistic, double weight) {
  c10::NoGradGuard no_grad;
  assert(handle < entries_.size() && statistic.numel() == entries_[handle].running.numel());
  const Entry& entry = entries_[handle];
  pending_.narrow(0, entry.offset, entry.running.numel())
      .add_(statistic.detach().reshape({-1}).to(pending_.device()), weight);
}

void RunningStatistics::Commit(const at::Tensor& sums) {
  c10::NoGradGuard no_grad;
  TORCH_CHECK(sums.numel() == size_, "the sums have ", size_, " elements, not ", sums.numel());
  for (Entry& entry : entries_) {
    entry.running.mul_(1 - entry.momentum)
        .add_(sums.narrow(0, entry.offset, entry.running.numel()).view_as(entry.running).to(entry.running.device()),
              entry.momentum);
  }
  for (at::Tensor& counter : counters_) counter.add_(1);
  Discard();
}

void RunningStatistics::Discard() {
  if (pending_.defined()) pending_.zero_();
}

}  // namespace arcshard::worker
