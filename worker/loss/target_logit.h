#pragma once

#include "ATen/core/Tensor.h"

namespace arcshard::worker {

// The margins of a micro-batch: v = s·(cos(m1·θ + m2) - m3). Each is B, float64; m2 may have a derivative (MagFace).
struct Margins {
  at::Tensor m1;
  at::Tensor m2;
  at::Tensor m3;
};

struct TargetLogitOptions {
  double scale = 64.0;  // s
  bool straight_through =
      false;  // dv/dc is s, as in InsightFace's losses.py since 2022-12, not s·m1·sin(m1·θ + m2)/sin θ
  bool monotonic = false;   // past m1·θ + m2 = π, v is s·(c - m2·sin m2 - m3) with slope s; only for m1 = 1
  double clip_angle = 0.0;  // ε > 0: the angle stays in [ε, π - ε], slope 0 outside (AdaFace)
};

// The logit v of each sample's own class, with the combined margin of ArcFace (Deng et al., CVPR 2019), eq. 4. It is
// differentiable in the cosine and in what m2 depends on. cosine: B, float64. It is clamped to ±(1 - 1e-7) before
// arccos. There the slope is that at the clamped value and not zero, because otherwise a sample exactly opposite to its
// center would never move.
at::Tensor TargetLogit(const at::Tensor& cosine, const Margins& margins, const TargetLogitOptions& options);

}  // namespace arcshard::worker
