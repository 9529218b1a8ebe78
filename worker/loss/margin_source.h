#pragma once

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "worker/backbone/layers/running_statistics.h"
#include "worker/loss/target_logit.h"

namespace arcshard::worker {

// Where a micro-batch lies in its step.
struct LossContext {
  uint64_t step = 0;
  int64_t global_batch = 0;        // B of the whole step: losses and gradients are divided by it
  int64_t first_sample = 0;        // position of the micro-batch's first sample in the global batch
  at::Tensor sample_weights = {};  // ω, one a sample, on top of class weights; undefined: all 1
};

// Says the margins of each sample. Thread-compatible: one call at a time.
class MarginSource {
 public:
  virtual ~MarginSource() = default;

  // norm: B, float64, ‖e‖, carrying its derivative.
  virtual Margins MarginsOf(const at::Tensor& norm, const LossContext& context) = 0;

  // What a sample's norm adds to its loss, B, outside of ω; undefined: nothing.
  virtual at::Tensor Penalty(const at::Tensor& norm) const;

  // Hands the running averages that this source keeps, if any, to `statistics`, which must outlive it and from now on
  // takes each micro-batch's own in and changes the averages at commit. Call once, before the first micro-batch.
  virtual void RegisterAverages(RunningStatistics& statistics);

  // Those averages, float32, or undefined: part of a worker's state.
  virtual at::Tensor averages() const;
};

// The same margins for every sample: ArcFace (1, m, 0), CosFace (1, 0, m), SphereFace (m, 0, 0), softmax (1, 0, 0).
std::unique_ptr<MarginSource> FixedMargins(double m1, double m2, double m3);

// ElasticFace (Boutros et al., CVPRW 2022), eq. 5, the angular form: m2 ~ normal(mean, std), drawn anew for each sample
// by Philox from (seed, step, position in the global batch), so that a draw does not depend on who computes the sample.
std::unique_ptr<MarginSource> ElasticMargins(double mean, double std, uint64_t seed);

// AdaFace (Kim et al., CVPR 2022), eq. 9 to 12: with q = clip(h·(‖e‖ - μ)/σ, -1, 1), m2 = -m·q and m3 = m + m·q. ‖e‖
// (kept within [0.001, 100]) is a constant here: no derivative goes through the margins. μ and σ are (1 -
// alpha)·running + alpha·the micro-batch's own; running starts at (20, 100) as the authors' does. averages(): μ, σ.
std::unique_ptr<MarginSource> AdaFaceMargins(double m, double h, double alpha);

struct MagFaceOptions {
  double low = 10.0, high = 110.0;              // of ‖e‖
  double low_margin = 0.45, high_margin = 0.8;  // m2 at `low` and at `high`; linear between, constant outside
  double lambda = 35.0;                         // of the regulariser
};

// MagFace (Meng et al., CVPR 2021), eq. 3: m2 grows with ‖e‖, with its derivative, and the norm is drawn upwards by
// lambda·(a/high² + 1/a), a = ‖e‖ kept within [low, high].
std::unique_ptr<MarginSource> MagFaceMargins(const MagFaceOptions& options);

}  // namespace arcshard::worker
