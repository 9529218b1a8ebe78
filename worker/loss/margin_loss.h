#pragma once

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "common/config/run_config.h"
#include "worker/loss/margin_source.h"
#include "worker/loss/target_logit.h"

namespace arcshard::worker {

// A margin softmax as a function of one sample's target cosine, its log-sum over negatives and its norm (DESIGN §1):
//     ℓ = softplus(lse - v)      L = (Σ ω·ℓ + Σ penalty) / B
// All tensors are B, float64, on the embeddings' device. Thread-compatible: one call at a time.
class MarginLoss {
 public:
  // What `loss` and `head.scale` of a run describe; seed: the run's. num_classes: N, which `loss.class_weights` must
  // fit. InvalidArgument: a key out of range, by name, or one that does not go with another. NotFound, DataLoss: the
  // file of class weights, by name.
  static absl::StatusOr<std::unique_ptr<MarginLoss>> Create(const RunConfig::Loss& config, double scale, uint64_t seed,
                                                            int64_t num_classes);

  // class_weights: N, float64, or undefined for all 1.
  MarginLoss(const TargetLogitOptions& target, std::unique_ptr<MarginSource> margins, at::Tensor class_weights = {});

  // ℓ of each sample, differentiable in cosine, lse and norm. lse = -inf (no negative at all) gives 0 with gradient 0.
  // Call once per micro-batch of a step: running averages of the norm take its statistics in.
  at::Tensor SampleLoss(const at::Tensor& cosine, const at::Tensor& lse, const at::Tensor& norm,
                        const LossContext& context);

  // L's share of a micro-batch with these ℓ, a scalar. labels: B, int64, in [0, N).
  at::Tensor Total(const at::Tensor& sample_loss, const at::Tensor& norm, const at::Tensor& labels,
                   const LossContext& context) const;

  double scale() const { return target_.scale; }

  // AdaFace's running averages (see MarginSource): they travel with BatchNorm's and are part of a worker's state.
  void RegisterAverages(RunningStatistics& statistics) { margins_->RegisterAverages(statistics); }
  at::Tensor averages() const { return margins_->averages(); }

 private:
  const TargetLogitOptions target_;
  const std::unique_ptr<MarginSource> margins_;
  const at::Tensor class_weights_;
};

}  // namespace arcshard::worker
