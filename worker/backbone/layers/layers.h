#pragma once

#include <cstdint>
#include <string>

#include "ATen/core/Tensor.h"
#include "worker/backbone/layers/forward_context.h"
#include "worker/backbone/layers/model_state.h"
#include "worker/backbone/layers/running_statistics.h"

// The layers that backbones are built of, over a ModelState. `prefix` is the layer's name in the checkpoint; its
// tensors are "<prefix>.weight" and so on, registered in the order in which PyTorch's layer lists them, and first drawn
// as the state's FirstWeights says. B samples, C channels, H×W pixels; activations are best laid out channels-last.
//
// A layer computes in the type of its input, float32 or bfloat16, and so do its gradients; weights, their gradients and
// BatchNorm's statistics are float32 whatever that type is.
namespace arcshard::worker {

struct Conv2dOptions {
  int64_t kernel_size = 3;
  int64_t stride = 1;
  int64_t groups = 1;
  bool pad = true;  // so that stride 1 keeps the size; otherwise not at all
};

// A convolution with a square kernel, without bias.
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

// One slope per channel, or with slopes = 1 a single one.
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

// BatchNorm over B×C or B×C×H×W. In training it normalises by the micro-batch's own statistics and deposits them
// (mean, unbiased variance) in the model's RunningStatistics; else by the running ones. The running tensors change only
// at RunningStatistics::Commit.
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

// Zeroes elements with `probability` and scales the others by 1/(1 - probability), in training only. The mask is a
// function of (seed, step, micro-batch, place), so whoever repeats a micro-batch drops the same elements.
class Dropout {
 public:
  Dropout(uint64_t seed, double probability) : seed_(seed), probability_(probability) {}
  at::Tensor Forward(const at::Tensor& x, const ForwardContext& context) const;

 private:
  uint64_t seed_;
  double probability_;
};

}  // namespace arcshard::worker
