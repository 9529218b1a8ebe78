#include "worker/backbone/step_sums.h"

#include <bit>
#include <cassert>
#include <cstddef>

#include "ATen/ops/isfinite.h"
#include "ATen/ops/zeros.h"

namespace arcshard::worker {

StepSums::StepSums(absl::Span<const NamedTensor> parameters, RunningStatistics* statistics, int64_t num_scalars)
    : num_statistics_(statistics->size()), num_scalars_(num_scalars) {
  for (const NamedTensor& parameter : parameters) num_gradients_ += parameter.tensor.numel();
  const at::Device device = parameters.empty() ? at::Device(at::kCPU) : parameters.front().tensor.device();
  own_ = at::zeros({num_gradients_ + num_statistics_ + num_scalars_}, at::TensorOptions(at::kFloat).device(device));
  int64_t offset = 0;
  for (const NamedTensor& parameter : parameters) {
    const int64_t size = parameter.tensor.numel();
    parameter.tensor.mutable_grad() = own_.narrow(0, offset, size).view(parameter.tensor.sizes());
    offset += size;
  }
  statistics->MoveTo(Statistics(own_));
}

bool AllFinite(const at::Tensor& values) {
  if (!values.is_cpu()) return at::isfinite(values).all().item<bool>();
  constexpr uint32_t kExponent = 0x7f800000;  // all bits set: infinite or NaN
  assert(values.is_contiguous());
  const float* const data = values.const_data_ptr<float>();
  const int64_t size = values.numel();
  uint32_t found = 0;  // no branches, so that the compiler vectorises the loop
  for (int64_t i = 0; i < size; ++i) found |= (std::bit_cast<uint32_t>(data[i]) & kExponent) == kExponent;
  return found == 0;
}

}  // namespace arcshard::worker
