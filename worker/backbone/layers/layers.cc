#include "worker/backbone/layers/layers.h"

#include <cassert>
#include <cmath>
#include <tuple>

#include "ATen/ops/avg_pool2d.h"
#include "ATen/ops/conv2d.h"
#include "ATen/ops/empty.h"
#include "ATen/ops/linear.h"
#include "ATen/ops/native_batch_norm.h"
#include "common/base/philox.h"
#include "worker/backbone/layers/batch_norm.h"
#include "worker/backbone/layers/prelu.h"

namespace arcshard::worker {

namespace {

double FanOutDeviation(int64_t outputs, int64_t kernel_area) {
  return std::sqrt(2.0 / static_cast<double>(outputs * kernel_area));
}

}  // namespace

Conv2d::Conv2d(ModelState* state, const std::string& prefix, int64_t in_channels, int64_t out_channels,
               const Conv2dOptions& options)
    : options_(options) {
  assert(in_channels % options.groups == 0 && out_channels % options.groups == 0);
  const int64_t kernel_size = options.kernel_size;
  const double stddev =
      state->first_weights() == FirstWeights::kFanOut ? FanOutDeviation(out_channels, kernel_size * kernel_size) : 0.1;
  weight_ = state->AddNormal(prefix + ".weight", {out_channels, in_channels / options.groups, kernel_size, kernel_size},
                             stddev);
}

at::Tensor Conv2d::Forward(const at::Tensor& x) const {
  const int64_t padding = options_.pad ? options_.kernel_size / 2 : 0;
  // A 1×1 kernel with a stride reads only every stride-th pixel. These pixels are selected here and convolved with
  // stride 1, because LibTorch 2.15 (oneDNN) writes past the end of its buffers in strided 1×1 convolutions of few
  // channels on processors without AVX-512.
  // The mean over one pixel selects them: unlike that of a slice, its gradient has the layout of x.
  if (options_.kernel_size == 1 && options_.stride > 1) {
    const at::Tensor picked = at::avg_pool2d(x, /*kernel_size=*/1, options_.stride);
    return at::conv2d(picked, weight_.to(x.scalar_type()), /*bias=*/{}, /*stride=*/1, padding, /*dilation=*/1,
                      options_.groups);
  }
  return at::conv2d(x, weight_.to(x.scalar_type()), /*bias=*/{}, options_.stride, padding, /*dilation=*/1,
                    options_.groups);
}

Linear::Linear(ModelState* state, const std::string& prefix, int64_t in_features, int64_t out_features, bool bias) {
  const bool fan_out = state->first_weights() == FirstWeights::kFanOut;
  const double bound = 1 / std::sqrt(static_cast<double>(in_features));
  const std::string weight_name = prefix + ".weight", bias_name = prefix + ".bias";
  weight_ = fan_out ? state->AddNormal(weight_name, {out_features, in_features}, FanOutDeviation(out_features, 1))
                    : state->AddUniform(weight_name, {out_features, in_features}, bound);
  if (!bias) return;
  bias_ =
      fan_out ? state->AddConstant(bias_name, {out_features}, 0) : state->AddUniform(bias_name, {out_features}, bound);
}

at::Tensor Linear::Forward(const at::Tensor& x) const {
  const at::ScalarType dtype = x.scalar_type();
  return at::linear(x, weight_.to(dtype), bias_.defined() ? bias_.to(dtype) : at::Tensor());
}

PRelu::PRelu(ModelState* state, const std::string& prefix, int64_t slopes)
    : weight_(state->AddConstant(prefix + ".weight", {slopes}, 0.25)) {}

at::Tensor PRelu::Forward(const at::Tensor& x) const { return ApplyPRelu(x, weight_); }

BatchNorm::BatchNorm(ModelState* state, const std::string& prefix, int64_t channels, const BatchNormOptions& options)
    : statistics_(&state->statistics()), eps_(options.eps) {
  const std::string weight_name = prefix + ".weight";
  weight_ = options.trainable_weight ? state->AddConstant(weight_name, {channels}, 1)
                                     : state->AddBuffer(weight_name, {channels}, 1);
  bias_ = state->AddConstant(prefix + ".bias", {channels}, 0);
  running_mean_ = state->AddBuffer(prefix + ".running_mean", {channels}, 0);
  running_var_ = state->AddBuffer(prefix + ".running_var", {channels}, 1);
  statistics_->RegisterCounter(state->AddBuffer(prefix + ".num_batches_tracked", {}, 0, at::kLong));
  mean_handle_ = statistics_->Register(running_mean_, options.momentum);
  var_handle_ = statistics_->Register(running_var_, options.momentum);
}

at::Tensor BatchNorm::Forward(const at::Tensor& x, const ForwardContext& context) const {
  if (!context.training) {
    return std::get<0>(at::native_batch_norm(x, weight_, bias_, running_mean_, running_var_, /*training=*/false,
                                             /*momentum=*/0, eps_));
  }
  BatchStatistics batch;
  at::Tensor y = NormalizeBatch(x, weight_, bias_, eps_, &batch);
  statistics_->Deposit(mean_handle_, batch.mean, context.weight);
  statistics_->Deposit(var_handle_, batch.variance, context.weight);
  return y;
}

at::Tensor Dropout::Forward(const at::Tensor& x, const ForwardContext& context) const {
  if (!context.training || probability_ == 0) return x;
  constexpr uint64_t kStream = 0x64726f706f757400;  // "dropout": differs from other streams that use the run's seed
  const float kept = static_cast<float>(1 / (1 - probability_));
  at::Tensor mask = at::empty(x.sizes(), at::kFloat);
  float* const values = mask.mutable_data_ptr<float>();
  const int64_t size = mask.numel();
  for (int64_t i = 0; i < size; i += 4) {
    const uint64_t place = uint64_t{context.micro_batch} << 32 | static_cast<uint64_t>(i / 4);
    const auto words = Philox(seed_ ^ kStream, context.step, place);
    for (int64_t j = 0; j < 4 && i + j < size; ++j) {
      values[i + j] = UniformFromWord(words[j]) < probability_ ? 0.0f : kept;
    }
  }
  return x.mul(mask.to(x.device(), x.scalar_type()));
}

}  // namespace arcshard::worker
