#pragma once

#include <cstdint>
#include <string>

#include "ATen/core/Tensor.h"
#include "worker/backbone/layers/forward_context.h"
#include "worker/backbone/layers/model_state.h"
#include "worker/backbone/layers/running_statistics.h"

// The layers of backbones. A layer registers its tensors in a ModelState, as "<prefix>.weight" and so on, where
// `prefix` is its name in the checkpoint, in the order in which PyTorch's layer lists them; FirstWeights says how they
// are drawn. B samples, C channels, H×W pixels. Activations in channels-last layout are fastest.
//
// Results and gradients of activations have the type of the layer's input, float32 or bfloat16. Weights, their
// gradients and BatchNorm's statistics are always float32.
namespace arcshard::worker {

struct Conv2dOptions {
  int64_t kernel_size = 3;
  int64_t stride = 1;
  int64_t groups = 1;
  bool pad = true;  // by kernel_size / 2, so that stride 1 keeps the size; otherwise by 0
};

// A convolution with a square kernel and without bias.
class Conv2d {
 public:
  Conv2d(ModelState* state, const std::string& prefix, int64_t in_channels, int64_t out_channels,
         const Conv2dOptions& options);
  at::Tensor Forward(const at::Tensor& x) const;

 private:
  at::Tensor weight_;
  Conv2dOptions options_;
};

// x·weightᵀ + bias.
class Linear {
 public:
  Linear(ModelState* state, const std::string& prefix, int64_t in_features, int64_t out_features, bool bias = true);
  at::Tensor Forward(const at::Tensor& x) const;

 private:
  at::Tensor weight_, bias_;
};

// One slope for each channel, or a single one if slopes = 1.
class PRelu {
 public:
  PRelu(ModelState* state, const std::string& prefix, int64_t slopes);
  at::Tensor Forward(const at::Tensor& x) const;

 private:
  at::Tensor weight_;
};

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;
  bool trainable_weight = true;  // false: the weight is frozen at 1
};

// BatchNorm of B×C or B×C×H×W. In training it normalises by the micro-batch's own statistics and deposits them (mean,
// unbiased variance) in the model's RunningStatistics. Otherwise it normalises by the running ones, which only
// RunningStatistics::Commit changes.
class BatchNorm {
 public:
  BatchNorm(ModelState* state, const std::string& prefix, int64_t channels, const BatchNormOptions& options = {});
  at::Tensor Forward(const at::Tensor& x, const ForwardContext& context) const;

 private:
  RunningStatistics* statistics_;
  double eps_;
  at::Tensor weight_, bias_, running_mean_, running_var_;
  RunningStatistics::Handle mean_handle_, var_handle_;
};

// In training, sets elements to zero with `probability` and scales the others by 1/(1 - probability). The mask depends
// only on (seed, step, micro-batch, place), so a repeated micro-batch drops the same elements. probability: in [0, 1).
class Dropout {
 public:
  Dropout(uint64_t seed, double probability) : seed_(seed), probability_(probability) {}
  at::Tensor Forward(const at::Tensor& x, const ForwardContext& context) const;

 private:
  uint64_t seed_;
  double probability_;
};

}  // namespace arcshard::worker
