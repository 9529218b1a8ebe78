#include "worker/loss/sharded_softmax.h"

#include <cassert>
#include <limits>
#include <string>
#include <utility>

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
#include "torch/csrc/autograd/function.h"
#include "worker/backbone/layers/graph_node.h"

namespace arcshard::worker {
namespace {

using torch::autograd::variable_list;

constexpr double kTinyNorm = 1e-12;

// r = alpha·s/z, 0 where there are no negatives.
at::Tensor RowFactor(const at::Tensor& alpha, const at::Tensor& z, double scale) {
  return at::where(z == 0.0, 0.0, alpha * scale / z);
}

// The shards' computation as one node of autograd's graph. Its value is lse = ln z + a, and its derivative with respect
// to the unit embedding is s·U/z. It derives from Node, because the templates of torch::autograd::Function take five
// times as long to compile.
class ShardsBackward final : public torch::autograd::Node {
 public:
  ShardsBackward(const at::Tensor& unit_embedding, at::Tensor z, at::Tensor u, double scale)
      : Node(torch::autograd::collect_next_edges(unit_embedding)), z_(std::move(z)), u_(std::move(u)), scale_(scale) {}

  std::string name() const override { return "ShardsBackward"; }
  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) return variable_list(1);
    return {RowFactor(gradients[0], z_, scale_).unsqueeze(1) * u_};
  }

 private:
  const at::Tensor z_;  // B
  const at::Tensor u_;  // B×D
  const double scale_;
};

at::Tensor LogSumExp(const at::Tensor& unit_embedding, const SoftmaxStatistics& statistics, double scale,
                     double shift) {
  at::Tensor lse = at::log(statistics.z) + shift;
  SetGradientNode<ShardsBackward>(lse, unit_embedding, statistics.z, statistics.u, scale);
  return lse;
}

struct UnitVectors {
  at::Tensor unit;  // B×D
  at::Tensor norm;  // B
};

// Differentiable. Below kTinyNorm unit vector, norm and all derivatives are 0. NaN is not below it and propagates.
UnitVectors Normalise(const at::Tensor& e) {
  const at::Tensor squared = (e * e).sum(1);
  const at::Tensor tiny = squared < kTinyNorm * kTinyNorm;
  const at::Tensor norm = at::sqrt(at::where(tiny, 1.0, squared));
  return {.unit = at::where(tiny.unsqueeze(1), 0.0, e / norm.unsqueeze(1)), .norm = at::where(tiny, 0.0, norm)};
}

// Limits values to the range of float32. alpha·s/z exceeds it if z is almost 0 (s near 80 and very few classes), which
// must not skip a step.
at::Tensor WithinFloat(const at::Tensor& r) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return at::clamp(r, -kLargest, kLargest);
}

}  // namespace

LossResult ComputeLoss(const at::Tensor& embedding, const at::Tensor& labels, const SoftmaxStatistics& statistics,
                       double shift, MarginLoss& loss, const LossContext& context) {
  assert(labels.numel() == embedding.size(0) && statistics.z.numel() == embedding.size(0));
  assert(statistics.u.sizes() == embedding.sizes() && statistics.own_centers.sizes() == embedding.sizes());
  const at::AutoGradMode with_gradients(true);
  const at::TensorOptions wide = embedding.options().dtype(at::kDouble);
  const at::Tensor e = embedding.detach().to(wide, /*non_blocking=*/false, /*copy=*/true).requires_grad_();
  const SoftmaxStatistics sums{
      .z = statistics.z.to(wide), .u = statistics.u.to(wide), .own_centers = statistics.own_centers.to(wide)};

  const UnitVectors vectors = Normalise(e);
  const at::Tensor cosine = (vectors.unit * sums.own_centers).sum(1);
  const at::Tensor lse = LogSumExp(vectors.unit, sums, loss.scale(), shift);
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
  result.r = WithinFloat(RowFactor(gradients[0], sums.z, loss.scale())).to(dtype);
  result.t = gradients[1].to(dtype);
  result.d_embedding = gradients[2].to(dtype);

  const at::Tensor finite = at::isfinite(result.r).all() & at::isfinite(result.t).all() &
                            at::isfinite(result.d_embedding).all() & at::isfinite(total);
  // A single copy from the device for all three.
  const at::Tensor scalars = at::stack({total.detach(), cosine.detach().sum(), finite.to(at::kDouble)}).to(at::kCPU);
  const double* values = scalars.const_data_ptr<double>();
  result.loss = values[0];
  result.cosine_sum = values[1];
  result.finite = values[2] != 0.0;
  return result;
}

}  // namespace arcshard::worker
