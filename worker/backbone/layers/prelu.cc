#include "worker/backbone/layers/prelu.h"

#include <string>
#include <utility>

#include "ATen/ops/prelu.h"
#include "ATen/ops/threshold_backward.h"
#include "c10/core/GradMode.h"
#include "torch/csrc/autograd/function.h"
#include "worker/backbone/layers/graph_node.h"

namespace arcshard::worker {
namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// The node of autograd's graph. It derives from Node, because the templates of torch::autograd::Function take five
// times as long to compile.
class PReluBackward final : public torch::autograd::Node {
 public:
  PReluBackward(const at::Tensor& x, const at::Tensor& slope)
      : Node(torch::autograd::collect_next_edges(x, slope)),
        x_(x, /*is_output=*/false),
        slope_(slope, /*is_output=*/false) {}

  std::string name() const override { return "PReluBackward"; }
  void release_variables() override {
    x_.reset_data();
    slope_.reset_data();
  }

  // gradients: one, with respect to the result. Returns those with respect to x and slope.
  variable_list apply(variable_list&& gradients) override {
    const at::Tensor& gradient = gradients[0];
    if (!gradient.defined()) return variable_list(2);
    const at::Tensor x = x_.unpack(), slope = slope_.unpack();
    // The gradient where x > 0, and the rest of it, where x <= 0.
    at::Tensor dx = at::threshold_backward(gradient, x, 0);
    at::Tensor negative = gradient.sub(dx);
    dx.addcmul_(negative, slope.to(x.scalar_type()).view({1, -1, 1, 1}));
    if (!task_should_compute_output(1)) return {dx, at::Tensor()};
    negative.mul_(x);
    const at::Tensor d_slope = slope.numel() == 1 ? negative.sum(at::kFloat).view({1})
                                                  : negative.sum({0, 2, 3}, /*keepdim=*/false, at::kFloat);
    return {dx, d_slope};
  }

 private:
  SavedVariable x_, slope_;
};

}  // namespace

at::Tensor ApplyPRelu(const at::Tensor& x, const at::Tensor& slope) {
  const bool needs_graph = c10::GradMode::is_enabled() && (x.requires_grad() || slope.requires_grad());
  c10::NoGradGuard no_grad;
  at::Tensor y = at::prelu(x, slope.to(x.scalar_type()));
  if (needs_graph) SetGradientNode<PReluBackward>(y, x, slope);
  return y;
}

}  // namespace arcshard::worker
