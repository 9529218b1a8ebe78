#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "shard_server/head/arithmetic/bfloat16.h"
#include "shard_server/head/arithmetic/element_ops.h"
#include "shard_server/head/arithmetic/random_draws.h"
#include "shard_server/head/head_options.h"

// The kernels between a head's matrix products. The arithmetic of one element is in element_ops.h, optimizer_steps.h
// and random_draws.h. The order of every sum depends on the shapes alone, and there are no atomics, so the same call
// gives the same bits. All pointers are device pointers. Each function queues its kernel on `stream` and returns the
// error of the launch; it queues nothing when there is nothing to do.
namespace arcshard::head {

// An array of float32 or bfloat16 values.
template <typename Void>
struct Typed {
  Void* data = nullptr;
  DataType type = DataType::kFloat32;
};
using Values = Typed<void>;
using ConstValues = Typed<const void>;

// The classes of a pass: the class at position p is in row list[p], counted from the shard's first class, or in row p
// where there is no list because every class takes part.
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

// Fills w with the first weights of the classes [first_class, first_class + rows); bfloat16 is rounded to nearest.
cudaError_t FillFirstWeights(uint64_t seed, int64_t first_class, int64_t rows, int64_t dim, Values w,
                             cudaStream_t stream);

// inverse_norms[row] <- 1/|w_row|.
cudaError_t InverseNormsOfRows(int64_t rows, int64_t dim, ConstValues w, float* inverse_norms, cudaStream_t stream);

// out[i] <- in[i] for i < size; float32 to bfloat16 rounds to nearest.
cudaError_t Convert(int64_t size, ConstValues in, Values out, cudaStream_t stream);

// out (range.size×dim) <- the rows of w at the positions of `range`, rounded to nearest where out's type is narrower.
// inverse_norms (range.size) <- 1/|row| of what was written to out.
struct GatherArguments {
  ActiveRows active;
  PositionRange range;
  int64_t dim = 0;
  ConstValues w;
  Values out;
  float* inverse_norms = nullptr;
};
cudaError_t GatherRows(const GatherArguments& arguments, cudaStream_t stream);

// --- which classes take part in a sampled step

// The rows among [0, rows) that the draw chooses or that are in `targets`.
struct SampledRows {
  SamplingDraw draw;
  uint64_t step = 0;
  int64_t first_class = 0;  // the class in row 0
  int64_t rows = 0;
  const int64_t* targets = nullptr;  // rows, ascending
  int64_t num_targets = 0;
};

// Rows are counted and listed in chunks.
constexpr int64_t kChunkRows = 1024;
constexpr int64_t ChunksOf(int64_t rows) { return (rows + kChunkRows - 1) / kChunkRows; }

// counts[chunk] <- the number of its rows that take part.
cudaError_t CountSampled(const SampledRows& sampled, int64_t* counts, cudaStream_t stream);

// Writes the rows that take part to `list`, ascending; the rows of a chunk begin at list[offsets[chunk]].
cudaError_t ListSampled(const SampledRows& sampled, const int64_t* offsets, int64_t* list, cudaStream_t stream);

// positions[i] <- the index of rows[i] in list[0, active), or -1 where rows[i] is -1. May work in place.
cudaError_t PositionsOf(int64_t active, const int64_t* list, int64_t count, const int64_t* rows, int64_t* positions,
                        cudaStream_t stream);

// --- the samples of a pass

// unit (samples×dim) <- e/|e|, or 0 where the norm is below 1e-12. Also writes it to `narrow` in bfloat16 unless that
// is null.
cudaError_t UnitVectors(int64_t samples, int64_t dim, const float* e, float* unit, Bfloat16* narrow,
                        cudaStream_t stream);

// out (samples×dim) <- factors[i]·unit_i.
cudaError_t ScaleRows(int64_t samples, int64_t dim, const float* factors, const float* unit, Values out,
                      cudaStream_t stream);

// own_centers (targets×dim) <- w/|w| of each target's row.
struct OwnCentersArguments {
  int64_t targets = 0;
  int64_t dim = 0;
  const int64_t* target_rows = nullptr;
  ConstValues w;
  const float* inverse_norms = nullptr;
  float* own_centers = nullptr;
};
cudaError_t OwnCenters(const OwnCentersArguments& arguments, cudaStream_t stream);

// z[i] <- sums[i], rounded to float32.
cudaError_t NarrowSums(int64_t samples, const double* sums, float* z, cudaStream_t stream);

// --- a block of positions

// Rows of a tile. Each tile computes its own part of z. So few, because a block has as many threads as samples and
// tiles and has to fill the device also where there are 256 samples.
constexpr int64_t kTileRows = 16;
constexpr int64_t TilesOf(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }

// Computes q = exp(l - a)/|w_j| from s (w_j·ê_i), with 0 where j is the own class of sample i; both range.size×stride,
// q may be s. tile_sums (tiles×stride) <- the sum of exp(l - a) over the rows of each tile.
struct ExponentialsArguments {
  PositionRange range;
  int64_t samples = 0;
  int64_t stride = 0;
  const float* inverse_norms = nullptr;  // one for each position of `range`
  const int64_t* own = nullptr;          // for each sample the position of its own class, or -1
  const float* s = nullptr;
  Values q;
  float* tile_sums = nullptr;
};
cudaError_t Exponentials(const NegativeExponential& exponential, const ExponentialsArguments& arguments,
                         cudaStream_t stream);

// sums[i] <- sums[i] + the sum of tile_sums over the tiles.
cudaError_t AddTileSums(int64_t tiles, int64_t samples, int64_t stride, const float* tile_sums, double* sums,
                        cudaStream_t stream);

// h (range.size×dim) <- h + t·ê/|w| at the position of each target inside `range`. Requires targets sorted by position.
struct TargetsArguments {
  ActiveRows active;
  PositionRange range;
  int64_t targets = 0;
  int64_t dim = 0;
  const int64_t* positions = nullptr;  // one for each target
  const int64_t* samples = nullptr;    // one for each target: an index into t and a row of unit
  const float* t = nullptr;
  const float* unit = nullptr;
  const float* inverse_norms = nullptr;
  float* h = nullptr;
};
cudaError_t AddTargets(const TargetsArguments& arguments, cudaStream_t stream);

// Applies the optimizer's step to the rows at the positions of `range`, in place, and updates their inverse norms. h
// (range.size×dim) is (dL/dŵ)/|w|.
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
  int64_t first_class = 0;  // the class in row 0
};
cudaError_t UpdateRows(const SgdOptions& options, float lr, const UpdateArguments& arguments, cudaStream_t stream);
cudaError_t UpdateRows(const AdamWOptions& options, float lr, const UpdateArguments& arguments, cudaStream_t stream);

}  // namespace arcshard::head
