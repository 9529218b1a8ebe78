#include "worker/backbone/model_state.h"

#include <utility>

#include "ATen/ops/empty.h"
#include "ATen/ops/full.h"
#include "absl/types/span.h"
#include "worker/backbone/initialization.h"

namespace arcshard::worker {
namespace {

absl::Span<float> Values(const at::Tensor& tensor) {
  return absl::MakeSpan(tensor.mutable_data_ptr<float>(), static_cast<size_t>(tensor.numel()));
}

}  // namespace

at::Tensor ModelState::AddNormal(std::string name, at::IntArrayRef shape, double stddev) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  FillNormal(seed_, static_cast<uint32_t>(tensors_.size()), stddev, Values(tensor));
  return AddParameter(std::move(name), std::move(tensor));
}

at::Tensor ModelState::AddUniform(std::string name, at::IntArrayRef shape, double bound) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  FillUniform(seed_, static_cast<uint32_t>(tensors_.size()), bound, Values(tensor));
  return AddParameter(std::move(name), std::move(tensor));
}

at::Tensor ModelState::AddConstant(std::string name, at::IntArrayRef shape, double value) {
  return AddParameter(std::move(name), at::full(shape, value, at::kFloat));
}

at::Tensor ModelState::AddParameter(std::string name, at::Tensor tensor) {
  tensor.requires_grad_(true);
  parameters_.push_back({name, tensor});
  return AddBuffer(std::move(name), std::move(tensor));
}

at::Tensor ModelState::AddBuffer(std::string name, at::Tensor tensor) {
  tensors_.push_back({std::move(name), tensor});
  return tensor;
}

}  // namespace arcshard::worker
