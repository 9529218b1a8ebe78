#include "shard_server/head/block_plan.h"

#include <algorithm>

namespace arcshard::head {
namespace {

// Rows come in multiples of it, so that a block starts at a cache line whatever the dimension.
constexpr int64_t kUnit = 16;

// A block of W is 1 MiB at most, and of 1024 rows at most.
int64_t RowsOfBlock(int64_t dim) { return std::clamp<int64_t>((int64_t{1} << 18) / dim / kUnit * kUnit, kUnit, 1024); }

int64_t CeilOfQuotient(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

BlockPlan BlockPlan::Make(int64_t rows, int64_t dim, int threads) {
  BlockPlan plan;
  const int64_t units = CeilOfQuotient(rows, kUnit);
  for (int64_t thread = 0; thread < threads; ++thread) {
    plan.first_block.push_back(static_cast<int64_t>(plan.blocks.size()));
    const int64_t first_unit = units * thread / threads;
    const int64_t own_units = units * (thread + 1) / threads - first_unit;
    const int64_t pieces = CeilOfQuotient(own_units * kUnit, RowsOfBlock(dim));
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const int64_t begin = (first_unit + own_units * piece / pieces) * kUnit;
      const int64_t end = std::min(rows, (first_unit + own_units * (piece + 1) / pieces) * kUnit);
      plan.blocks.push_back({begin, end - begin});
      plan.max_rows = std::max(plan.max_rows, end - begin);
    }
  }
  plan.first_block.push_back(static_cast<int64_t>(plan.blocks.size()));
  return plan;
}

}  // namespace arcshard::head
