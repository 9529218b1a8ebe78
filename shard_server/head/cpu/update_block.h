#pragma once

#include <cstdint>
#include <variant>

#include "shard_server/head/arithmetic/optimizer_steps.h"
#include "shard_server/head/arithmetic/random_draws.h"
#include "shard_server/head/block_rows.h"
#include "shard_server/head/cpu/class_store.h"
#include "shard_server/head/cpu/kernels/products.h"

namespace arcshard::head {

using OptimizerStep = std::variant<SgdStep, AdamWStep>;

// A step of the optimizer that `options` chooses, with the learning rate `lr`.
OptimizerStep MakeOptimizerStep(const HeadOptions& options, float lr);

// A step's update.
struct UpdateStep {
  OptimizerStep optimizer;
  uint64_t step = 0;  // t
  RoundingBits rounding;
};

// The number of random values that a thread generates for a row: one for each dimension of the weights and of both
// moments. They have 16 bits but are stored in 32, so that the compiler sees that writing a Bfloat16 doesn't change
// them.
constexpr int64_t RandomsOfRow(int64_t dim) { return 3 * (RoundedUp(dim, 256)); }

// Applies the step to the rows of a block in `store`: weights, moments, counts and inverse norms. h (rows.count×D):
// (dL/dŵ)/|w|. `randoms`: scratch of RandomsOfRow(D) values. The inverse norms have the same bits as those that
// ClassStore::RenewInverseNorms computes.
void UpdateBlock(const UpdateStep& update, const BlockRows& rows, const float* h, uint32_t* randoms,
                 const ClassStore& store);

// Fills `randoms` with the bits of the dimensions [0, dim) of class j, dim rounded up to a multiple of 256: a
// vectorised RoundingBits.
void FillRoundingBits(const RoundingBits& rounding, uint64_t step, int64_t j, Rounded what, int64_t dim,
                      uint32_t* randoms);

}  // namespace arcshard::head
