#pragma once

#include <cstdint>
#include <vector>

namespace arcshard::head {

// Consecutive rows of a shard that one thread walks together.
struct Block {
  int64_t begin = 0;  // row, from the shard's first
  int64_t rows = 0;
};

// How a shard's rows are divided: each thread has a contiguous range of rows, each range is cut into blocks whose W, H
// and S stay in a core's cache. A function of (rows, dim, threads) alone.
struct BlockPlan {
  std::vector<Block> blocks;         // in order
  std::vector<int64_t> first_block;  // of each thread, and the number of blocks at last
  int64_t max_rows = 0;              // of a block

  static BlockPlan Make(int64_t rows, int64_t dim, int threads);
};

}  // namespace arcshard::head
