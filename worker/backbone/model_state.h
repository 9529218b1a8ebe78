#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "worker/backbone/named_tensor.h"
#include "worker/backbone/running_statistics.h"

namespace arcshard::worker {

// What a model consists of between two steps: its tensors under their checkpoint's names, in the order in which its
// layers register them, and its running averages. Layers hold handles to the same tensors. First weights are drawn from
// the seed alone (initialization.h).
class ModelState {
 public:
  explicit ModelState(uint64_t seed) : seed_(seed) {}
  ModelState(const ModelState&) = delete;
  ModelState& operator=(const ModelState&) = delete;

  // Trainable parameters, float32.
  at::Tensor AddNormal(std::string name, at::IntArrayRef shape, double stddev);
  at::Tensor AddUniform(std::string name, at::IntArrayRef shape, double bound);  // in [-bound, bound)
  at::Tensor AddConstant(std::string name, at::IntArrayRef shape, double value);

  // Tensors that no gradient changes: frozen weights, running averages, counters.
  at::Tensor AddBuffer(std::string name, at::Tensor tensor);

  const std::vector<NamedTensor>& tensors() const { return tensors_; }        // all of them
  const std::vector<NamedTensor>& parameters() const { return parameters_; }  // the trainable ones
  RunningStatistics& statistics() { return statistics_; }

 private:
  at::Tensor AddParameter(std::string name, at::Tensor tensor);

  uint64_t seed_;
  std::vector<NamedTensor> tensors_;
  std::vector<NamedTensor> parameters_;
  RunningStatistics statistics_;
};

}  // namespace arcshard::worker
