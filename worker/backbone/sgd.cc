#include "worker/backbone/sgd.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "ATen/ops/_fused_sgd.h"
#include "ATen/ops/empty.h"
#include "ATen/ops/zeros_like.h"
#include "c10/core/GradMode.h"

namespace arcshard::worker {

at::Tensor FlattenParameters(absl::Span<const NamedTensor> parameters) {
  c10::NoGradGuard no_grad;
  int64_t size = 0;
  for (const NamedTensor& parameter : parameters) size += parameter.tensor.numel();
  at::Tensor values = at::empty({size}, at::kFloat);
  int64_t offset = 0;
  for (const NamedTensor& parameter : parameters) {
    const at::Tensor place = values.narrow(0, offset, parameter.tensor.numel()).view(parameter.tensor.sizes());
    place.copy_(parameter.tensor);
    parameter.tensor.set_data(place);
    offset += parameter.tensor.numel();
  }
  return values;
}

double Norm2(const at::Tensor& values) {
  // Own lanes instead of ATen's reduction, whose grouping depends on its number of threads: replicas that scale their
  // gradients by norms of different rounding drift apart.
  constexpr int64_t kLanes = 16;
  const float* const data = values.const_data_ptr<float>();
  const int64_t size = values.numel();
  std::array<double, kLanes> sums{};
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const double value = data[i + lane];
      sums[lane] += value * value;
    }
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  for (; i < size; ++i) total += static_cast<double>(data[i]) * data[i];
  return std::sqrt(total);
}

void ClipGradNorm(double norm, double max_norm, at::Tensor gradient) {
  const double coefficient = max_norm / (norm + 1e-6);
  if (coefficient < 1) gradient.mul_(coefficient);
}

Sgd::Sgd(at::Tensor values, const SgdOptions& options)
    : values_(std::move(values)), momentum_(at::zeros_like(values_)), options_(options) {}

void Sgd::Step(const at::Tensor& gradient, double lr) {
  c10::NoGradGuard no_grad;
  // A momentum buffer of zeros makes PyTorch's first step (v = gradient) the general one. Without momentum none is
  // allowed.
  std::vector<at::Tensor> buffers;
  if (options_.momentum != 0) buffers.push_back(momentum_);
  at::_fused_sgd_({values_}, {gradient}, buffers, options_.weight_decay, options_.momentum, lr, /*dampening=*/0,
                  /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false);
}

}  // namespace arcshard::worker
