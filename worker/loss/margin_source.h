#pragma once

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "worker/backbone/layers/running_statistics.h"
#include "worker/loss/target_logit.h"

namespace arcshard::worker {

// The place of a micro-batch in its step.
struct LossContext {
  uint64_t step = 0;
  int64_t global_batch = 0;        // B of the whole step, by which losses and gradients are divided
  int64_t first_sample = 0;        // position of the micro-batch's first sample in the global batch
  at::Tensor sample_weights = {};  // ω of each sample, multiplied by class weights; undefined: all 1
};

// Determines the margins of each sample. Not thread-safe.
class MarginSource {
 public:
  virtual ~MarginSource() = default;

  // norm: B, float64, ‖e‖, which autograd may differentiate.
  virtual Margins MarginsOf(const at::Tensor& norm, const LossContext& context) = 0;

  // The term, B, that a sample's norm adds to its loss and that ω does not weight; undefined: none.
  virtual at::Tensor Penalty(const at::Tensor& norm) const;

  // Registers this source's running averages, if it has any, in `statistics`, which must outlive it. From then on the
  // source deposits each micro-batch's statistics there, and a commit updates the averages. Call it once, before the
  // first micro-batch.
  virtual void RegisterAverages(RunningStatistics& statistics);

  // The running averages, float32, which are part of a worker's state; undefined if there are none.
  virtual at::Tensor averages() const;
};

// The same margins for every sample: ArcFace (1, m, 0), CosFace (1, 0, m), SphereFace (m, 0, 0), softmax (1, 0, 0).
std::unique_ptr<MarginSource> FixedMargins(double m1, double m2, double m3);

// ElasticFace (Boutros et al., CVPRW 2022), eq. 5, the angular form: m2 ~ normal(mean, std), drawn for each sample by
// Philox from (seed, step, position in the global batch), so that a draw does not depend on which worker computes the
// sample.
std::unique_ptr<MarginSource> ElasticMargins(double mean, double std, uint64_t seed);

// AdaFace (Kim et al., CVPR 2022), eq. 9 to 12: with q = clip(h·(‖e‖ - μ)/σ, -1, 1), m2 = -m·q and m3 = m + m·q. ‖e‖,
// clipped to [0.001, 100], is a constant here: the margins have no derivative. μ and σ are (1 - alpha)·running +
// alpha·the micro-batch's own; running starts at (20, 100), as in the authors' code. averages(): μ, σ.
std::unique_ptr<MarginSource> AdaFaceMargins(double m, double h, double alpha);

struct MagFaceOptions {
  double low = 10.0, high = 110.0;              // range of ‖e‖
  double low_margin = 0.45, high_margin = 0.8;  // m2 at `low` and at `high`; linear between, constant outside
  double lambda = 35.0;                         // weight of the regulariser
};

// MagFace (Meng et al., CVPR 2021), eq. 3: m2 grows with ‖e‖ and has a derivative, and the regulariser
// lambda·(a/high² + 1/a), a = ‖e‖ clipped to [low, high], makes norms larger.
std::unique_ptr<MarginSource> MagFaceMargins(const MagFaceOptions& options);

}  // namespace arcshard::worker
