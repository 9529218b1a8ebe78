#include "worker/loss/sharded_softmax.h"

#include <cassert>
#include <cmath>
#include <limits>

#include "ATen/TensorOperators.h"
#include "ATen/core/grad_mode.h"
#include "ATen/ops/clamp.h"
#include "ATen/ops/isfinite.h"
#include "ATen/ops/log.h"
#include "ATen/ops/sum.h"
#include "ATen/ops/where.h"
#include "ATen/ops/zeros_like.h"
#include "torch/csrc/autograd/autograd.h"
#include "worker/loss/embedding_rows.h"

namespace arcshard::worker {
namespace {

// r = alpha·s/z, 0 where there are no negatives.
at::Tensor RowFactor(const at::Tensor& alpha, const at::Tensor& z, double scale) {
  return at::where(z == 0.0, 0.0, alpha * scale / z);
}

// Limits values to the range of float32. alpha·s/z exceeds it if z is almost 0 (s near 80 and very few classes), which
// must not skip a step.
at::Tensor WithinFloat(const at::Tensor& r) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return at::clamp(r, -kLargest, kLargest);
}

bool IsFinite(const at::Tensor& x) { return at::isfinite(x).all().item<bool>(); }

}  // namespace

LossResult ComputeLoss(const at::Tensor& embedding, const at::Tensor& labels, const SoftmaxStatistics& statistics,
                       double shift, MarginLoss& loss, const LossContext& context) {
  assert(labels.numel() == embedding.size(0) && statistics.z.numel() == embedding.size(0));
  const auto dtype = embedding.scalar_type();
  const at::Tensor e = embedding.detach();
  const at::Tensor z = statistics.z.to(at::kDouble);
  const at::Tensor u = statistics.u.to(dtype), own_centers = statistics.own_centers.to(dtype);
  const EmbeddingRows rows = DescribeRows(e, own_centers);
  // Leaves of autograd's graph: the loss is a function of these three numbers of a sample.
  const at::Tensor lse = (at::log(z) + shift).requires_grad_();
  const at::Tensor cosine = rows.cosine.detach().requires_grad_();
  const at::Tensor norm = rows.norm.detach().requires_grad_();
  at::Tensor sample_loss, total;
  {
    const at::AutoGradMode with_gradients(true);
    sample_loss = loss.SampleLoss(cosine, lse, norm, context);
    total = loss.Total(sample_loss, norm, labels, context);
  }
  const auto gradients = torch::autograd::grad({total}, {lse, cosine, norm}, /*grad_outputs=*/{},
                                               /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);

  const at::NoGradGuard done;
  const at::Tensor& alpha = gradients[0];
  const at::Tensor& t = gradients[1];
  const at::Tensor d_norm = gradients[2].defined() ? gradients[2] : at::zeros_like(rows.norm);  // most ignore the norm
  const at::Tensor r = RowFactor(alpha, z, loss.scale());
  LossResult result;
  result.sample_loss = sample_loss.detach().to(dtype);
  result.lse = lse.detach().to(dtype);
  result.cosine = at::clamp(rows.cosine, -1.0, 1.0).to(dtype);
  result.alpha = alpha.to(dtype);
  result.r = WithinFloat(r).to(dtype);
  result.t = t.to(dtype);
  result.d_embedding = GradientOfRows(e, rows.norm, u, own_centers, {r, t, d_norm});
  result.loss = total.item<double>();
  result.cosine_sum = rows.cosine.sum().item<double>();
  result.finite =
      std::isfinite(result.loss) && IsFinite(result.r) && IsFinite(result.t) && IsFinite(result.d_embedding);
  return result;
}

}  // namespace arcshard::worker
