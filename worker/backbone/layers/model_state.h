#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "worker/backbone/layers/named_tensor.h"
#include "worker/backbone/layers/running_statistics.h"

namespace arcshard::worker {

// How the layers of a model draw their first weights; BatchNorm begins at (1, 0), PReLU at 0.25.
enum class FirstWeights {
  // InsightFace's iresnet: convolutions normal with standard deviation 0.1; linear layers uniform in
  // ±1/sqrt(in_features), PyTorch's default.
  kSmallNormal,
  // Normal with standard deviation sqrt(2/fan_out), fan_out = outputs × kernel's area, and biases 0 (He et al., ICCV
  // 2015): MXNet's Xavier(gaussian, out, 2), PyTorch's kaiming_normal_(fan_out).
  kFanOut,
};

struct ModelStateOptions {
  uint64_t seed = 1;
  FirstWeights first_weights = FirstWeights::kSmallNormal;
  bool shapes_only = false;  // tensors without memory (on the meta device): names, shapes and dtypes are all they have
};

// What a model consists of between two steps: its tensors under their checkpoint's names, in the order in which its
// layers register them, and its running averages. Layers hold handles to the same tensors. First weights are drawn from
// the seed alone (initialization.h).
class ModelState {
 public:
  explicit ModelState(const ModelStateOptions& options) : options_(options) {}
  ModelState(const ModelState&) = delete;
  ModelState& operator=(const ModelState&) = delete;

  // Trainable parameters, float32.
  at::Tensor AddNormal(std::string name, at::IntArrayRef shape, double stddev);
  at::Tensor AddUniform(std::string name, at::IntArrayRef shape, double bound);  // in [-bound, bound)
  at::Tensor AddConstant(std::string name, at::IntArrayRef shape, double value);

  // Tensors that no gradient changes, filled with `value`: frozen weights, running averages, counters.
  at::Tensor AddBuffer(std::string name, at::IntArrayRef shape, double value, at::ScalarType dtype = at::kFloat);

  // Takes the parameters whose names `is_frozen` accepts from the trainable ones.
  template <typename Predicate>
  void Freeze(Predicate is_frozen) {
    std::erase_if(parameters_, [&](NamedTensor& parameter) {
      if (!is_frozen(parameter.name)) return false;
      parameter.tensor.requires_grad_(false);
      return true;
    });
  }

  FirstWeights first_weights() const { return options_.first_weights; }
  const std::vector<NamedTensor>& tensors() const { return tensors_; }        // all of them
  const std::vector<NamedTensor>& parameters() const { return parameters_; }  // the trainable ones
  RunningStatistics& statistics() { return statistics_; }

 private:
  at::Tensor AddParameter(std::string name, at::Tensor tensor);
  at::TensorOptions Placed(at::ScalarType dtype) const;

  const ModelStateOptions options_;
  std::vector<NamedTensor> tensors_;
  std::vector<NamedTensor> parameters_;
  RunningStatistics statistics_;
};

}  // namespace arcshard::worker
