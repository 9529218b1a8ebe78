#pragma once

#include "ATen/core/Tensor.h"

namespace arcshard::worker {

// The margins of a micro-batch: v = s·(cos(m1·θ + m2) - m3). Each is B, float64; m2 may carry a derivative (MagFace).
struct Margins {
  at::Tensor m1;
  at::Tensor m2;
  at::Tensor m3;
};

struct TargetLogitOptions {
  double scale = 64.0;            // s
  bool straight_through = false;  // dv/dc is s (InsightFace's losses.py since 2022-12), not s·m1·sin(m1·θ + m2)/sin θ
  bool monotonic = false;         // past m1·θ + m2 = π: s·(c - m2·sin m2 - m3), slope s; for m1 = 1
  double clip_angle = 0.0;        // ε > 0: the angle stays in [ε, π - ε], slope 0 outside (AdaFace)
};

// The logit v of each sample's own class, as a differentiable function of its cosine and of whatever m2 depends on.
// cosine: B, float64. It is clamped to ±(1 - 1e-7) before arccos; the slope is that at the clamped value, not zero, or
// a sample exactly opposite to its center would never move. ArcFace (Deng et al., CVPR 2019), eq. 4: the combined
// margin.
at::Tensor TargetLogit(const at::Tensor& cosine, const Margins& margins, const TargetLogitOptions& options);

}  // namespace arcshard::worker
