#pragma once

#include "ATen/core/Tensor.h"
#include "worker/loss/margin_loss.h"

namespace arcshard::worker {

// What the shards say of a micro-batch, added up over all of them (DESIGN §1). B samples, D dimensions, float32.
struct SoftmaxStatistics {
  at::Tensor z;            // B: Σ over negatives of exp(l - a), up to e^69
  at::Tensor u;            // B×D: Σ over negatives of exp(l - a)·ŵ_j
  at::Tensor own_centers;  // B×D: ŵ of the label
};

// The loss of a micro-batch and what follows from it. Tensors are on the embedding's device and of its dtype, detached.
struct LossResult {
  double loss = 0.0;        // the micro-batch's share of L = Σ ω·ℓ / B (and MagFace's regulariser)
  double cosine_sum = 0.0;  // of `cosine`
  at::Tensor sample_loss;   // B: ℓ
  at::Tensor lse;           // B: ln Σ over negatives of exp(l); -inf where there is none
  at::Tensor cosine;        // B: to the own center
  at::Tensor alpha;         // B: ∂L/∂lse
  at::Tensor r;             // B: alpha·s/z, 0 where z is 0; goes to the shards with t
  at::Tensor t;             // B: ∂L/∂cosine
  at::Tensor d_embedding;  // B×D: ∂L/∂e, through the unit norm and ‖e‖; the backbone's backward starts with it
  bool finite = false;     // loss, r, t and d_embedding are; if not, the step has to be a skip
};

// embedding: B×D float32, as sent to the shards; its history is not followed. labels: B, int64, in [0, N). shift: a.
// The statistics' shapes must be those above (the client of the shards has checked them). An embedding whose norm is
// below 1e-12 has unit vector 0 and gradient 0. Non-finite values anywhere give finite = false and travel on.
// float32 at both ends, float64 between: it is B·D work, about a millisecond for 64×512, r stays in range whatever
// alpha and z are, and arccos near ±1 keeps its digits.
LossResult ComputeLoss(const at::Tensor& embedding, const at::Tensor& labels, const SoftmaxStatistics& statistics,
                       double shift, MarginLoss& loss, const LossContext& context);

}  // namespace arcshard::worker
