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

// Moves a model's parameters, once per committed step. The weight decay is every parameter's, BatchNorm's and PReLU's
// too, as InsightFace has it. Not thread-safe.
class Optimizer {
 public:
  // values: the parameters' flat buffer (flat_parameters.h), P float32 values, which Step updates in place. P may be 0.
  static std::unique_ptr<Optimizer> Create(at::Tensor values, const OptimizerOptions& options);
  virtual ~Optimizer() = default;

  // gradient: P values, of the whole step. lr: of this step, as the coordinator's decision says; moments are free of
  // it, so a step may have any.
  virtual void Step(const at::Tensor& gradient, double lr) = 0;

  virtual absl::string_view kind() const = 0;  // as optimizer.kind says it: "sgd", "adamw"

  // What it keeps from step to step, on the parameters' device; who writes into it restores it. "momentum" (P, and only
  // with momentum), or "first_moment", "second_moment" (P) and "steps" (a scalar). All float32.
  virtual std::vector<NamedTensor> state() const = 0;
};

}  // namespace arcshard::worker
