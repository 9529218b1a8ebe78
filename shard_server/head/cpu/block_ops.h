#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "shard_server/head/cpu/products.h"
#include "shard_server/head/element_ops.h"

// The passes over one block of classes between the matrix products, vectorised for the processor that runs them.
// A pass over the same shapes gives the same bits.
namespace arcshard::head {

// A sample whose own class is in this shard. Sorted by (row, sample).
struct Target {
  int64_t row = 0;     // of the class, among those that take part in the step
  int64_t sample = 0;  // of the group
};

// What a pass over S of a block knows of it.
struct ExponentialsJob {
  absl::Span<const float> inverse_norms;  // of the block's rows
  int64_t samples = 0;
  int64_t stride = 0;                // between rows of S and Q: samples in kRowUnit
  int64_t first_row = 0;             // of the block
  absl::Span<const Target> targets;  // those of the block
};

// S (w_j·e_hat_i) becomes Q = exp(l - a)/|w_j|, with 0 where i's own class is j or the filter forbids it, and zeros to
// the next multiple of kRowUnit in both directions; z[i] gets the sum of exp(l - a) over the block added. In float32 in
// place.
void ExponentialsOfBlock(const NegativeExponential& exponential, const ExponentialsJob& job, float* s, float* z);
void ExponentialsOfBlock(const NegativeExponential& exponential, const ExponentialsJob& job, const float* s,
                         Bfloat16* q, float* z);

// 1/|w| of rows×dim weights: the same bits as UpdateBlock's.
void InverseNormsOfRows(int64_t dim, const float* w, absl::Span<float> inverse_norms);
void InverseNormsOfRows(int64_t dim, const Bfloat16* w, absl::Span<float> inverse_norms);

// y <- y + factor·x.
void AddScaled(int64_t n, float factor, const float* x, float* y);

// y <- factor·x.
void Scale(int64_t n, float factor, const float* x, float* y);
void Scale(int64_t n, float factor, const Bfloat16* x, float* y);

// unit <- e/|e|, or 0 where the norm is below 1e-12. A NaN or an infinity in e makes the row non-finite.
void UnitVector(int64_t dim, const float* e, float* unit);

// sums[i] <- sums[i] + x[i], widened.
void AddWidened(int64_t n, const float* x, double* sums);

}  // namespace arcshard::head
