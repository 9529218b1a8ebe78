#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/strings/string_view.h"
#include "worker/backbone/layers/named_tensor.h"

namespace arcshard::worker {

// SGD as PyTorch defines it, without damping or Nesterov: v ← momentum·v + (g + weight_decay·w), w ← w − lr·v.
struct SgdOptions {
  double momentum = 0.9;
  double weight_decay = 5e-4;
};

// AdamW as PyTorch defines it (Loshchilov and Hutter, ICLR 2019, algorithm 2); n counts the steps:
//   w ← w − lr·weight_decay·w;  m ← beta1·m + (1 − beta1)·g;  v ← beta2·v + (1 − beta2)·g²
//   w ← w − lr/(1 − beta1ⁿ) · m/(sqrt(v/(1 − beta2ⁿ)) + epsilon)
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 1e-2;
};

using OptimizerOptions = std::variant<SgdOptions, AdamWOptions>;

// Updates a model's parameters, once per committed step. Weight decay applies to every parameter, including BatchNorm's
// and PReLU's, as in InsightFace. Not thread-safe.
class Optimizer {
 public:
  // values: the parameters' flat buffer (flat_parameters.h), P float32 values, which Step updates in place. P may be 0.
  static std::unique_ptr<Optimizer> Create(at::Tensor values, const OptimizerOptions& options);
  virtual ~Optimizer() = default;

  // gradient: P values, for the whole step. lr: the learning rate that the coordinator decided for this step. Moments
  // do not depend on it, so each step may have another one.
  virtual void Step(const at::Tensor& gradient, double lr) = 0;

  virtual absl::string_view kind() const = 0;  // the value of optimizer.kind: "sgd" or "adamw"

  // The tensors that the optimizer keeps from step to step, float32 on the parameters' device. Writing to them restores
  // a saved state. SGD: "momentum" (P), unless momentum is 0. AdamW: "first_moment", "second_moment" (P) and "steps" (a
  // scalar).
  virtual std::vector<NamedTensor> state() const = 0;
};

}  // namespace arcshard::worker
