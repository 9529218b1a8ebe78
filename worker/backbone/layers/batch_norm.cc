#include "worker/backbone/layers/batch_norm.h"

#include <string>
#include <tuple>
#include <utility>

#include "ATen/ops/native_batch_norm.h"
#include "ATen/ops/native_batch_norm_backward.h"
#include "ATen/ops/zeros_like.h"
#include "c10/core/GradMode.h"
#include "torch/csrc/autograd/function.h"
#include "worker/backbone/layers/graph_node.h"

namespace arcshard::worker {
namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// What the backward pass needs of the forward pass, beside x and weight.
struct Normalization {
  at::Tensor bias, mean, inverse_deviation;
  double eps;
};

// The node of autograd's graph; PReluBackward says why it derives from Node.
class BatchNormBackward final : public torch::autograd::Node {
 public:
  BatchNormBackward(const at::Tensor& x, const at::Tensor& weight, const Normalization& by)
      : Node(torch::autograd::collect_next_edges(x, weight, by.bias)),
        x_(x, /*is_output=*/false),
        weight_(weight, /*is_output=*/false),
        mean_(by.mean),
        inverse_deviation_(by.inverse_deviation),
        eps_(by.eps) {}

  std::string name() const override { return "BatchNormBackward"; }
  void release_variables() override {
    x_.reset_data();
    weight_.reset_data();
    mean_.reset();
    inverse_deviation_.reset();
  }

  // gradients: one, with respect to the result. Returns those with respect to x, weight and bias.
  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) return variable_list(3);
    const at::Tensor x = x_.unpack();
    const at::Tensor gradient = gradients[0].contiguous(x.suggest_memory_format());
    auto [dx, d_weight, d_bias] = at::native_batch_norm_backward(
        gradient, x, weight_.unpack(), /*running_mean=*/{}, /*running_var=*/{}, mean_, inverse_deviation_,
        /*train=*/true, eps_,
        {task_should_compute_output(0), task_should_compute_output(1), task_should_compute_output(2)});
    return {dx, d_weight, d_bias};
  }

 private:
  SavedVariable x_, weight_;
  at::Tensor mean_, inverse_deviation_;
  double eps_;
};

}  // namespace

at::Tensor NormalizeBatch(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps,
                          BatchStatistics* statistics) {
  const bool needs_graph =
      c10::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad() || bias.requires_grad());
  c10::NoGradGuard no_grad;
  // With momentum 1 the running tensors that are passed here become the batch's mean and unbiased variance.
  statistics->mean = at::zeros_like(weight);
  statistics->variance = at::zeros_like(weight);
  auto [y, mean, inverse_deviation] = at::native_batch_norm(x, weight, bias, statistics->mean, statistics->variance,
                                                            /*training=*/true, /*momentum=*/1, eps);
  if (needs_graph) {
    SetGradientNode<BatchNormBackward>(y, x, weight, Normalization{bias, mean, inverse_deviation, eps});
  }
  return y;
}

}  // namespace arcshard::worker
