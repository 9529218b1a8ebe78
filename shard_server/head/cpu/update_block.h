#pragma once

#include <cstdint>
#include <variant>

#include "shard_server/head/cpu/block_rows.h"
#include "shard_server/head/cpu/class_store.h"
#include "shard_server/head/cpu/products.h"
#include "shard_server/head/optimizer_steps.h"
#include "shard_server/head/random_draws.h"

namespace arcshard::head {

using OptimizerStep = std::variant<SgdStep, AdamWStep>;

// The optimizer's step `step` of `options`, with the learning rate `lr`.
OptimizerStep MakeOptimizerStep(const HeadOptions& options, float lr);

// What a step changes in the classes it updates.
struct UpdateStep {
  OptimizerStep optimizer;
  uint64_t step = 0;  // t
  RoundingBits rounding;
};

// Random bits that a thread makes for a row: 16 of each dimension, for weights and moments. Words of 32, so that a
// compiler sees that writing a Bfloat16 leaves them alone.
constexpr int64_t RandomsOfRow(int64_t dim) { return 3 * (RoundedUp(dim, 256)); }

// The step on the rows of a block, in place in `store`: weights, moments, counts and inverse norms. h: (dL/dw_hat)/|w|,
// rows.count×D. `randoms`: scratch of RandomsOfRow(D). The inverse norms have the bits of ClassStore's.
void UpdateBlock(const UpdateStep& update, const BlockRows& rows, const float* h, uint32_t* randoms,
                 const ClassStore& store);

// The bits of the dimensions [0, dim) of class j, to the next multiple of 256: vectorised RoundingBits.
void FillRoundingBits(const RoundingBits& rounding, uint64_t step, int64_t j, Rounded what, int64_t dim,
                      uint32_t* randoms);

}  // namespace arcshard::head
