#include "worker/loss/sharded_softmax.h"

#include <limits>

#include "ATen/TensorOperators.h"
#include "ATen/core/grad_mode.h"
#include "ATen/ops/clamp.h"
#include "ATen/ops/isfinite.h"
#include "ATen/ops/log.h"
#include "ATen/ops/sqrt.h"
#include "ATen/ops/stack.h"
#include "ATen/ops/sum.h"
#include "ATen/ops/where.h"
#include "torch/csrc/autograd/autograd.h"
#include "torch/csrc/autograd/custom_function.h"

namespace arcshard::worker {
namespace {

constexpr double kTinyNorm = 1e-12;

// The service as one node of the graph: its value is lse = ln z + a, its derivative dlse/dê = s·U/z.
class ServiceNode : public torch::autograd::Function<ServiceNode> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& /*unit_embedding*/,
                            const at::Tensor& z, const at::Tensor& u, double scale, double shift) {
    context->save_for_backward({z, u});
    context->saved_data["scale"] = scale;
    return at::log(z) + shift;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor r = RowFactor(gradients[0], saved[0], context->saved_data["scale"].toDouble());
    return {r.unsqueeze(1) * saved[1], {}, {}, {}, {}};
  }

  // r = alpha·s/z, 0 without negatives.
  static at::Tensor RowFactor(const at::Tensor& alpha, const at::Tensor& z, double scale) {
    return at::where(z == 0.0, 0.0, alpha * scale / z);
  }
};

struct UnitVectors {
  at::Tensor unit;  // B×D
  at::Tensor norm;  // B
};

// Differentiable, with unit vector, norm and all derivatives 0 below kTinyNorm. NaN is not below and goes through.
UnitVectors Normalise(const at::Tensor& e) {
  const at::Tensor squared = (e * e).sum(1);
  const at::Tensor tiny = squared < kTinyNorm * kTinyNorm;
  const at::Tensor norm = at::sqrt(at::where(tiny, 1.0, squared));
  return {.unit = at::where(tiny.unsqueeze(1), 0.0, e / norm.unsqueeze(1)), .norm = at::where(tiny, 0.0, norm)};
}

// As float32 holds it: alpha·s/z overflows where z is all but 0 (s near 80, hardly any class), which must not skip a
// step.
at::Tensor WithinFloat(const at::Tensor& r) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return at::clamp(r, -kLargest, kLargest);
}

}  // namespace

LossResult ComputeLoss(const at::Tensor& embedding, const at::Tensor& labels, const SoftmaxStatistics& statistics,
                       double shift, MarginLoss& loss, const LossContext& context) {
  const at::AutoGradMode with_gradients(true);
  const at::TensorOptions wide = embedding.options().dtype(at::kDouble);
  const at::Tensor e = embedding.detach().to(wide, /*non_blocking=*/false, /*copy=*/true).requires_grad_();
  const at::Tensor z = statistics.z.to(wide);

  const UnitVectors vectors = Normalise(e);
  const at::Tensor cosine = (vectors.unit * statistics.own_centers.to(wide)).sum(1);
  const at::Tensor lse = ServiceNode::apply(vectors.unit, z, statistics.u.to(wide), loss.scale(), shift);
  const at::Tensor sample_loss = loss.SampleLoss(cosine, lse, vectors.norm, context);
  const at::Tensor total = loss.Total(sample_loss, vectors.norm, labels, context);
  const auto gradients = torch::autograd::grad({total}, {lse, cosine, e});

  const at::NoGradGuard done;
  const auto dtype = embedding.scalar_type();
  LossResult result;
  result.sample_loss = sample_loss.detach().to(dtype);
  result.lse = lse.detach().to(dtype);
  result.cosine = at::clamp(cosine.detach(), -1.0, 1.0).to(dtype);
  result.alpha = gradients[0].to(dtype);
  result.r = WithinFloat(ServiceNode::RowFactor(gradients[0], z, loss.scale())).to(dtype);
  result.t = gradients[1].to(dtype);
  result.d_embedding = gradients[2].to(dtype);

  const at::Tensor finite = at::isfinite(result.r).all() & at::isfinite(result.t).all() &
                            at::isfinite(result.d_embedding).all() & at::isfinite(total);
  // One copy off the device for all three.
  const at::Tensor scalars = at::stack({total.detach(), cosine.detach().sum(), finite.to(at::kDouble)}).to(at::kCPU);
  const double* values = scalars.const_data_ptr<double>();
  result.loss = values[0];
  result.cosine_sum = values[1];
  result.finite = values[2] != 0.0;
  return result;
}

}  // namespace arcshard::worker
