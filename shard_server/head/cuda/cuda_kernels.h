#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "shard_server/head/bfloat16.h"
#include "shard_server/head/element_ops.h"
#include "shard_server/head/head_options.h"
#include "shard_server/head/random_draws.h"

// The thin kernels between a head's matrix products. What they compute of one element is element_ops.h's,
// optimizer_steps.h's and random_draws.h's; sums run in an order that the shapes alone decide, without atomics, so the
// same call gives the same bits. All pointers are of the device. Each function queues its kernel on `stream` and
// returns the error of the launch; those without work queue nothing.
namespace arcshard::head {

// Values held as float32 or bfloat16.
template <typename Void>
struct Typed {
  Void* data = nullptr;
  DataType type = DataType::kFloat32;
};
using Values = Typed<void>;
using ConstValues = Typed<const void>;

// The classes that a pass walks, by their row from the shard's first: position p is row list[p], or p where there is no
// list because every class takes part.
struct ActiveRows {
  const int64_t* list = nullptr;

  ARCSHARD_HOST_DEVICE int64_t operator[](int64_t position) const {
    return list == nullptr ? position : list[position];
  }
};

// Consecutive positions.
struct PositionRange {
  int64_t begin = 0;
  int64_t size = 0;
};

// --- the shard's rows

// First weights of the classes [first_class, first_class + rows), rounded to the nearest where held in bfloat16.
cudaError_t FillFirstWeights(uint64_t seed, int64_t first_class, int64_t rows, int64_t dim, Values w,
                             cudaStream_t stream);

// inverse_norms[row] <- 1/|w_row|.
cudaError_t InverseNormsOfRows(int64_t rows, int64_t dim, ConstValues w, float* inverse_norms, cudaStream_t stream);

// out[i] <- in[i] for i < size, widened or rounded to the nearest as the types say.
cudaError_t Convert(int64_t size, ConstValues in, Values out, cudaStream_t stream);

// out (range.size×dim) <- the rows at those positions, in out's type.
cudaError_t GatherRows(ActiveRows active, PositionRange range, int64_t dim, ConstValues w, Values out,
                       cudaStream_t stream);

// --- which classes take part in a sampled step

// Of `rows` rows, those that the draw chooses and those of the targets, which are sorted.
struct SampledRows {
  SamplingDraw draw;
  uint64_t step = 0;
  int64_t first_class = 0;  // of row 0
  int64_t rows = 0;
  const int64_t* targets = nullptr;
  int64_t num_targets = 0;
};

// Rows are counted and listed in chunks.
constexpr int64_t kChunkRows = 1024;
constexpr int64_t ChunksOf(int64_t rows) { return (rows + kChunkRows - 1) / kChunkRows; }

// counts[chunk] <- how many of its rows take part.
cudaError_t CountSampled(const SampledRows& sampled, int64_t* counts, cudaStream_t stream);

// The rows that take part, in order; those of a chunk from list[offsets[chunk]] on.
cudaError_t ListSampled(const SampledRows& sampled, const int64_t* offsets, int64_t* list, cudaStream_t stream);

// positions[i] <- where rows[i] is in list[0, active), or -1 where it is -1. In place or not.
cudaError_t PositionsOf(int64_t active, const int64_t* list, int64_t count, const int64_t* rows, int64_t* positions,
                        cudaStream_t stream);

// --- the samples of a pass

// unit (samples×dim) <- e/|e|, 0 where the norm is below 1e-12; narrow, where not null, gets it in bfloat16 too.
cudaError_t UnitVectors(int64_t samples, int64_t dim, const float* e, float* unit, Bfloat16* narrow,
                        cudaStream_t stream);

// out (samples×dim) <- factors[i]·unit_i.
cudaError_t ScaleRows(int64_t samples, int64_t dim, const float* factors, const float* unit, Values out,
                      cudaStream_t stream);

// own_centers (targets×dim) <- w/|w| of each target's row.
cudaError_t OwnCenters(int64_t targets, int64_t dim, const int64_t* target_rows, ConstValues w,
                       const float* inverse_norms, float* own_centers, cudaStream_t stream);

// z[i] <- sums[i], narrowed.
cudaError_t NarrowSums(int64_t samples, const double* sums, float* z, cudaStream_t stream);

// --- a block of positions

// Rows of a tile: each adds up its own part of z.
constexpr int64_t kTileRows = 64;
constexpr int64_t TilesOf(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }

// S (range.size×stride: w_j·e_hat_i) becomes Q = exp(l - a)/|w_j|, with 0 where own[i], a position, is j's: in place or
// not. tile_sums (tiles×stride) gets the sum of exp(l - a) over the rows of each tile.
struct ExponentialsArguments {
  ActiveRows active;
  PositionRange range;
  int64_t samples = 0;
  int64_t stride = 0;
  const float* inverse_norms = nullptr;
  const int64_t* own = nullptr;  // a position for each sample, or -1
  const float* s = nullptr;
  Values q;
  float* tile_sums = nullptr;
};
cudaError_t Exponentials(const NegativeExponential& exponential, const ExponentialsArguments& arguments,
                         cudaStream_t stream);

// sums[i] <- sums[i] + the sum over the tiles.
cudaError_t AddTileSums(int64_t tiles, int64_t samples, int64_t stride, const float* tile_sums, double* sums,
                        cudaStream_t stream);

// h (range.size×dim) gets t·e_hat/|w| added at each target's position inside the range. Targets are sorted by position.
struct TargetsArguments {
  ActiveRows active;
  PositionRange range;
  int64_t targets = 0;
  int64_t dim = 0;
  const int64_t* positions = nullptr;  // of each target
  const int64_t* samples = nullptr;    // of each target: a row of t and unit
  const float* t = nullptr;
  const float* unit = nullptr;
  const float* inverse_norms = nullptr;
  float* h = nullptr;
};
cudaError_t AddTargets(const TargetsArguments& arguments, cudaStream_t stream);

// The optimizer's step on the rows at those positions, in place, and their new inverse norms; h is (dL/dw_hat)/|w|.
struct UpdateArguments {
  ActiveRows active;
  PositionRange range;
  int64_t dim = 0;
  const float* h = nullptr;
  float* inverse_norms = nullptr;
  Values w;
  Values moment0;
  Values moment1;              // AdamW's v
  uint32_t* counts = nullptr;  // AdamW's n
  uint64_t seed = 0;
  uint64_t step = 0;
  int64_t first_class = 0;  // of row 0
};
cudaError_t UpdateRows(const SgdOptions& options, float lr, const UpdateArguments& arguments, cudaStream_t stream);
cudaError_t UpdateRows(const AdamWOptions& options, float lr, const UpdateArguments& arguments, cudaStream_t stream);

}  // namespace arcshard::head
