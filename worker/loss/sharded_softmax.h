#pragma once

#include "ATen/core/Tensor.h"
#include "worker/loss/margin_loss.h"

namespace arcshard::worker {

// The statistics of a micro-batch, summed over all shards (DESIGN §1). B samples, D dimensions, float32.
struct SoftmaxStatistics {
  at::Tensor z;            // B: Σ over negatives of exp(l - a), up to e^69
  at::Tensor u;            // B×D: Σ over negatives of exp(l - a)·ŵ_j
  at::Tensor own_centers;  // B×D: ŵ of each sample's label
};

// The loss of a micro-batch and its gradients. Tensors have the embedding's dtype and are detached.
struct LossResult {
  double loss = 0.0;        // the micro-batch's share of L = Σ ω·ℓ / B (and MagFace's regulariser)
  double cosine_sum = 0.0;  // the sum of `cosine`
  at::Tensor sample_loss;   // B: ℓ
  at::Tensor lse;           // B: ln Σ over negatives of exp(l); -inf if there are none
  at::Tensor cosine;        // B: between each embedding and its own center
  at::Tensor alpha;         // B: ∂L/∂lse
  at::Tensor r;             // B: alpha·s/z, 0 where z is 0; sent to the shards with t
  at::Tensor t;             // B: ∂L/∂cosine
  at::Tensor d_embedding;  // B×D: ∂L/∂e, through the unit vector and ‖e‖; the backbone's backward pass starts with it
  bool finite = false;  // whether loss, r, t and d_embedding are; if not, the step must be skipped
};

// embedding: B×D float32, as sent to the shards; its own graph is ignored. labels: B, int64, in [0, N). shift: a.
// Requires: the statistics have the shapes above (the head's client has checked them). An embedding whose norm is below
// 1e-12 has unit vector 0 and gradient 0. Non-finite values anywhere make `finite` false and propagate.
//
// Tensors are on the CPU. Inputs and results are float32, but the computation is in float64: r stays in range for all
// alpha and z, and arccos near ±1 keeps its precision. autograd sees three numbers of each sample, and no row.
LossResult ComputeLoss(const at::Tensor& embedding, const at::Tensor& labels, const SoftmaxStatistics& statistics,
                       double shift, MarginLoss& loss, const LossContext& context);

}  // namespace arcshard::worker
