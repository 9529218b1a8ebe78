#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "shard_server/head/arithmetic/element_ops.h"
#include "shard_server/head/cpu/kernels/products.h"
#include "shard_server/head/target.h"

// The operations on one block of classes between the matrix products, compiled for several levels of x86
// (vectorised.h). The same shapes give the same bits.
namespace arcshard::head {

// A block of S and the samples that it belongs to.
struct ExponentialsJob {
  absl::Span<const float> inverse_norms;  // one for each row of the block
  int64_t samples = 0;
  int64_t stride = 0;                // between rows of S and Q: samples rounded up to kRowUnit
  int64_t first_row = 0;             // place of the block's first row
  absl::Span<const Target> targets;  // the targets in the block, sorted
};

// Computes Q = exp(l - a)/|w_j| from S (w_j·ê_i), with 0 where j is the own class of sample i or where the filter
// removes the negative, and with zeros up to the next multiple of kRowUnit in both directions. Adds the sum of
// exp(l - a) over the block to z[i]. The float32 version works in place.
void ExponentialsOfBlock(const NegativeExponential& exponential, const ExponentialsJob& job, float* s, float* z);
void ExponentialsOfBlock(const NegativeExponential& exponential, const ExponentialsJob& job, const float* s,
                         Bfloat16* q, float* z);

// 1/|w| of each row of `w` (rows×dim), with the same bits as UpdateBlock computes.
void InverseNormsOfRows(int64_t dim, const float* w, absl::Span<float> inverse_norms);
void InverseNormsOfRows(int64_t dim, const Bfloat16* w, absl::Span<float> inverse_norms);

// y <- y + factor·x.
void AddScaled(int64_t n, float factor, const float* x, float* y);

// y <- factor·x.
void Scale(int64_t n, float factor, const float* x, float* y);
void Scale(int64_t n, float factor, const Bfloat16* x, float* y);

// unit <- e/|e|, or 0 where the norm is below 1e-12. A NaN or an infinity in e makes the result non-finite.
void UnitVector(int64_t dim, const float* e, float* unit);

// sums[i] <- sums[i] + x[i].
void AddWidened(int64_t n, const float* x, double* sums);

}  // namespace arcshard::head
