#include "worker/backbone/layers/model_state.h"

#include <utility>

#include "ATen/ops/empty.h"
#include "ATen/ops/full.h"
#include "absl/types/span.h"
#include "worker/backbone/layers/initialization.h"

namespace arcshard::worker {
namespace {

absl::Span<float> Values(const at::Tensor& tensor) {
  return absl::MakeSpan(tensor.mutable_data_ptr<float>(), static_cast<size_t>(tensor.numel()));
}

}  // namespace

at::TensorOptions ModelState::Placed(at::ScalarType dtype) const {
  return at::TensorOptions().dtype(dtype).device(options_.shapes_only ? at::kMeta : at::kCPU);
}

at::Tensor ModelState::AddNormal(std::string name, at::IntArrayRef shape, double stddev) {
  at::Tensor tensor = at::empty(shape, Placed(at::kFloat));
  const auto ordinal = static_cast<uint32_t>(tensors_.size());
  if (!options_.shapes_only) FillNormal(options_.seed, ordinal, stddev, Values(tensor));
  return AddParameter(std::move(name), std::move(tensor));
}

at::Tensor ModelState::AddUniform(std::string name, at::IntArrayRef shape, double bound) {
  at::Tensor tensor = at::empty(shape, Placed(at::kFloat));
  const auto ordinal = static_cast<uint32_t>(tensors_.size());
  if (!options_.shapes_only) FillUniform(options_.seed, ordinal, bound, Values(tensor));
  return AddParameter(std::move(name), std::move(tensor));
}

at::Tensor ModelState::AddConstant(std::string name, at::IntArrayRef shape, double value) {
  return AddParameter(std::move(name), at::full(shape, value, Placed(at::kFloat)));
}

at::Tensor ModelState::AddParameter(std::string name, at::Tensor tensor) {
  tensor.requires_grad_(true);
  parameters_.push_back({name, tensor});
  tensors_.push_back({std::move(name), tensor});
  return tensor;
}

at::Tensor ModelState::AddBuffer(std::string name, at::IntArrayRef shape, double value, at::ScalarType dtype) {
  at::Tensor tensor = at::full(shape, value, Placed(dtype));
  tensors_.push_back({std::move(name), tensor});
  return tensor;
}

}  // namespace arcshard::worker
