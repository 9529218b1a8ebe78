#include "worker/backbone/layers/prelu.h"

#include "ATen/ops/prelu.h"
#include "ATen/ops/threshold_backward.h"
#include "torch/csrc/autograd/custom_function.h"

namespace arcshard::worker {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct PReluFunction : torch::autograd::Function<PReluFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& slope) {
    context->save_for_backward({x, slope});
    return at::prelu(x, slope.to(x.scalar_type()));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& slope = saved[1];
    // The gradient where x > 0, and what is left of it elsewhere.
    at::Tensor dx = at::threshold_backward(gradients[0], x, 0);
    at::Tensor negative = gradients[0].sub(dx);
    dx.addcmul_(negative, slope.to(x.scalar_type()).view({1, -1, 1, 1}));
    if (!context->needs_input_grad(1)) return {dx, at::Tensor()};
    negative.mul_(x);
    const at::Tensor d_slope = slope.numel() == 1 ? negative.sum(at::kFloat).view({1})
                                                  : negative.sum({0, 2, 3}, /*keepdim=*/false, at::kFloat);
    return {dx, d_slope};
  }
};

}  // namespace

at::Tensor ApplyPRelu(const at::Tensor& x, const at::Tensor& slope) { return PReluFunction::apply(x, slope); }

}  // namespace arcshard::worker
