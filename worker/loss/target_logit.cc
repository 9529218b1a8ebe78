#include "worker/loss/target_logit.h"

#include <numbers>

#include "ATen/TensorOperators.h"
#include "ATen/ops/acos.h"
#include "ATen/ops/clamp.h"
#include "ATen/ops/cos.h"
#include "ATen/ops/gt.h"
#include "ATen/ops/sin.h"
#include "ATen/ops/where.h"

namespace arcshard::worker {
namespace {

constexpr double kLargestCosine = 1.0 - 1e-7;

at::Tensor MarginLogit(const at::Tensor& cosine, const Margins& margins, const TargetLogitOptions& options) {
  // The clamp changes the value and not the derivative, because its difference is a constant to autograd.
  const at::Tensor clamped = cosine + (at::clamp(cosine, -kLargestCosine, kLargestCosine) - cosine).detach();
  at::Tensor angle = margins.m1 * at::acos(clamped) + margins.m2;
  if (options.clip_angle > 0) {
    angle = at::clamp(angle, options.clip_angle, std::numbers::pi - options.clip_angle);
  }
  at::Tensor logit = at::cos(angle);
  if (options.monotonic) {
    logit = at::where(angle > std::numbers::pi, clamped - margins.m2 * at::sin(margins.m2), logit);
  }
  return options.scale * (logit - margins.m3);
}

}  // namespace

at::Tensor TargetLogit(const at::Tensor& cosine, const Margins& margins, const TargetLogitOptions& options) {
  if (!options.straight_through) return MarginLogit(cosine, margins, options);
  // The value is the margin logit's and the slope is s; the derivative through m2 stays.
  return MarginLogit(cosine.detach(), margins, options) + options.scale * (cosine - cosine.detach());
}

}  // namespace arcshard::worker
