#pragma once

#include <cmath>

#include "ATen/TensorOperators.h"
#include "ATen/core/Tensor.h"
#include "ATen/ops/arange.h"
#include "ATen/ops/clamp.h"
#include "ATen/ops/exp.h"
#include "ATen/ops/linalg_vector_norm.h"
#include "ATen/ops/matmul.h"
#include "ATen/ops/where.h"
#include "common/protocol/logit_shift.h"
#include "worker/loss/sharded_softmax.h"

// The statistics that shards compute, here by DESIGN §1's formulas over the whole matrix of class centers in float64.
namespace arcshard::worker {

inline at::Tensor UnitRows(const at::Tensor& x) {
  const at::Tensor norm = at::linalg_vector_norm(x, 2, {1}, /*keepdim=*/true);
  return at::where(norm < 1e-12, 0.0, x / norm);
}

// embedding: B×D float64, labels: B int64, centers: N×D float64. wire: the type of the result, float32 in a run.
inline SoftmaxStatistics DenseStatistics(const at::Tensor& embedding, const at::Tensor& labels,
                                         const at::Tensor& centers, double scale, at::ScalarType wire = at::kFloat) {
  const at::Tensor unit_centers = UnitRows(centers);
  const at::Tensor cosines = at::clamp(at::matmul(UnitRows(embedding), unit_centers.t()), -1.0, 1.0);
  const at::Tensor own = labels.unsqueeze(1) == at::arange(centers.size(0), labels.options()).unsqueeze(0);
  const at::Tensor share = at::where(own, 0.0, at::exp(scale * cosines - LogitShift(scale, centers.size(0))));
  return {.z = share.sum(1).to(wire),
          .u = at::matmul(share, unit_centers).to(wire),
          .own_centers = unit_centers.index_select(0, labels).to(wire)};
}

}  // namespace arcshard::worker
