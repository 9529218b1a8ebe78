#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "shard_server/head/element_ops.h"
#include "shard_server/head/optimizer_steps.h"
#include "shard_server/head/random_draws.h"

// The passes over one block of classes between the matrix products, vectorised for the processor that runs them.
// Buffers start at 64-byte boundaries; rows of S and Q have `stride` floats. A pass over the same shapes gives the same
// bits.
namespace arcshard::head {

// A sample whose own class is in this shard. Sorted by (row, sample).
struct Target {
  int64_t row = 0;     // of the class, from the shard's first
  int64_t sample = 0;  // of the group
};

// In place, S (rows×samples: w_j·e_hat_i) becomes Q = exp(l - a)/|w_j|, with 0 where i's own class is j; z[i] gets the
// sum of exp(l - a) over the block added. `targets` are those of the block, whose first row is `first_row`.
void ExponentialsOfBlock(const NegativeExponential& exponential, absl::Span<const float> inverse_norms, int64_t samples,
                         int64_t stride, int64_t first_row, absl::Span<const Target> targets, float* s, float* z);

// SGD on rows×dim weights and momentum, in place; h is (dL/dw_hat)/|w|. `inverse_norms` are those of the old weights,
// then those of the new ones.
void UpdateBlock(const SgdStep& step, int64_t dim, const float* h, absl::Span<float> inverse_norms, float* w, float* v);

// Those of rows×dim weights: the same bits as UpdateBlock's.
void InverseNormsOfRows(int64_t dim, const float* w, absl::Span<float> inverse_norms);

// y <- y + factor·x.
void AddScaled(int64_t n, float factor, const float* x, float* y);

// y <- factor·x.
void Scale(int64_t n, float factor, const float* x, float* y);

// unit <- e/|e|, or 0 where the norm is below 1e-12. A NaN or an infinity in e makes the row non-finite.
void UnitVector(int64_t dim, const float* e, float* unit);

// sums[i] <- sums[i] + x[i], widened.
void AddWidened(int64_t n, const float* x, double* sums);

// The first weights of the classes [first_class, first_class + rows), rows×dim.
void FillFirstWeights(uint64_t seed, int64_t first_class, int64_t rows, int64_t dim, float* w);

}  // namespace arcshard::head
