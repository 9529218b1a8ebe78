#include "worker/backbone/gradient_norm.h"

#include <array>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <optional>

#include "ATen/ops/linalg_vector_norm.h"

namespace arcshard::worker {

double Norm2(const at::Tensor& values) {
  if (!values.is_cpu()) {
    return at::linalg_vector_norm(values, 2, /*dim=*/std::nullopt, /*keepdim=*/false, at::kDouble).item<double>();
  }
  // ATen's reduction is not used, because its order depends on the number of threads: replicas whose norms are rounded
  // differently scale their gradients differently and drift apart.
  assert(values.is_contiguous());
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

}  // namespace arcshard::worker
