#pragma once

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "common/config/run_config.h"
#include "worker/loss/margin_source.h"
#include "worker/loss/target_logit.h"

namespace arcshard::worker {

// A margin softmax as a function of a sample's target cosine, its log-sum over the negatives and its norm (DESIGN §1):
//     ℓ = softplus(lse - v)      L = (Σ ω·ℓ + Σ penalty) / B
// All tensors are B, float64, on the embeddings' device. Not thread-safe.
class MarginLoss {
 public:
  // config and scale: `loss` and `head.scale` of the run. seed: the run's. num_classes: N, which is also the number of
  // values that the file `loss.class_weights` must have. InvalidArgument: a key, which the message names, is out of
  // range or conflicts with another. NotFound, DataLoss: the file of class weights, which the message names.
  static absl::StatusOr<std::unique_ptr<MarginLoss>> Create(const RunConfig::Loss& config, double scale, uint64_t seed,
                                                            int64_t num_classes);

  // class_weights: N, float64, or undefined if all are 1.
  MarginLoss(const TargetLogitOptions& target, std::unique_ptr<MarginSource> margins, at::Tensor class_weights = {});

  // ℓ of each sample, differentiable in cosine, lse and norm. lse = -inf (there are no negatives) gives 0 with gradient
  // 0. Call it once per micro-batch of a step, because it adds to the running averages of the norm.
  at::Tensor SampleLoss(const at::Tensor& cosine, const at::Tensor& lse, const at::Tensor& norm,
                        const LossContext& context);

  // The share of L, a scalar, of a micro-batch with these ℓ. labels: B, int64, in [0, N).
  at::Tensor Total(const at::Tensor& sample_loss, const at::Tensor& norm, const at::Tensor& labels,
                   const LossContext& context) const;

  double scale() const { return target_.scale; }

  // AdaFace's running averages (see MarginSource). They are reduced with BatchNorm's and are part of a worker's state.
  void RegisterAverages(RunningStatistics& statistics) { margins_->RegisterAverages(statistics); }
  at::Tensor averages() const { return margins_->averages(); }

 private:
  const TargetLogitOptions target_;
  const std::unique_ptr<MarginSource> margins_;
  const at::Tensor class_weights_;
};

}  // namespace arcshard::worker
