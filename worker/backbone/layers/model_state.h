#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "worker/backbone/layers/named_tensor.h"
#include "worker/backbone/layers/running_statistics.h"

namespace arcshard::worker {

// How the layers of a model draw their first weights. BatchNorm starts at (1, 0), PReLU at 0.25.
enum class FirstWeights {
  // As InsightFace's iresnet: convolutions are normal with standard deviation 0.1; linear layers are uniform in
  // ±1/sqrt(in_features), which is PyTorch's default.
  kSmallNormal,
  // Normal with standard deviation sqrt(2/fan_out), fan_out = outputs × kernel's area; biases are 0 (He et al., ICCV
  // 2015). MXNet calls it Xavier(gaussian, out, 2), PyTorch kaiming_normal_(fan_out).
  kFanOut,
};

struct ModelStateOptions {
  uint64_t seed = 1;
  FirstWeights first_weights = FirstWeights::kSmallNormal;
  bool shapes_only = false;  // tensors have names, shapes and dtypes, but no memory (they are on the meta device)
};

// The state of a model between two steps: its tensors, under their names in a checkpoint and in the order in which its
// layers register them, and its running averages. Layers have handles to the same tensors. First weights depend only on
// the seed (initialization.h).
class ModelState {
 public:
  explicit ModelState(const ModelStateOptions& options) : options_(options) {}
  ModelState(const ModelState&) = delete;
  ModelState& operator=(const ModelState&) = delete;

  // These add trainable parameters, float32.
  at::Tensor AddNormal(std::string name, at::IntArrayRef shape, double stddev);
  at::Tensor AddUniform(std::string name, at::IntArrayRef shape, double bound);  // in [-bound, bound)
  at::Tensor AddConstant(std::string name, at::IntArrayRef shape, double value);

  // Adds a tensor that no gradient changes, filled with `value`: a frozen weight, a running average or a counter.
  at::Tensor AddBuffer(std::string name, at::IntArrayRef shape, double value, at::ScalarType dtype = at::kFloat);

  // Makes the parameters whose names `is_frozen` accepts no longer trainable.
  template <typename Predicate>
  void Freeze(Predicate is_frozen) {
    std::erase_if(parameters_, [&](NamedTensor& parameter) {
      if (!is_frozen(parameter.name)) return false;
      parameter.tensor.requires_grad_(false);
      return true;
    });
  }

  FirstWeights first_weights() const { return options_.first_weights; }
  const std::vector<NamedTensor>& tensors() const { return tensors_; }        // all tensors
  const std::vector<NamedTensor>& parameters() const { return parameters_; }  // the trainable tensors
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
