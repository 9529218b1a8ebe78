#include "shard_server/head/cpu/block_plan.h"

#include <algorithm>
#include <cassert>

#include "shard_server/head/cpu/kernels/products.h"

namespace arcshard::head {
namespace {

// A block of W has at most 512 KiB (as float32) and at most 1024 rows, which measured fastest.
int64_t RowsOfBlock(int64_t dim) {
  return std::clamp<int64_t>((int64_t{1} << 17) / dim / kRowUnit * kRowUnit, kRowUnit, 1024);
}

int64_t CeilOfQuotient(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

int64_t BlockPlan::LargestBlock(int64_t rows, int64_t dim) {
  return std::min(RowsOfBlock(dim), RoundedUp(rows, kRowUnit));
}

BlockPlan BlockPlan::Make(int64_t rows, int64_t dim, int threads) {
  BlockPlan plan;
  plan.Set(rows, dim, threads);
  return plan;
}

void BlockPlan::Set(int64_t rows, int64_t dim, int threads) {
  assert(rows >= 0 && dim >= 1 && threads >= 1);
  blocks.clear();
  first_block.clear();
  max_rows = 0;
  const int64_t units = CeilOfQuotient(rows, kRowUnit);
  for (int64_t thread = 0; thread < threads; ++thread) {
    first_block.push_back(static_cast<int64_t>(blocks.size()));
    const int64_t first_unit = units * thread / threads;
    const int64_t own_units = units * (thread + 1) / threads - first_unit;
    const int64_t pieces = CeilOfQuotient(own_units * kRowUnit, RowsOfBlock(dim));
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const int64_t begin = (first_unit + own_units * piece / pieces) * kRowUnit;
      const int64_t end = std::min(rows, (first_unit + own_units * (piece + 1) / pieces) * kRowUnit);
      blocks.push_back({begin, end - begin});
      max_rows = std::max(max_rows, end - begin);
    }
  }
  first_block.push_back(static_cast<int64_t>(blocks.size()));
}

}  // namespace arcshard::head
