#pragma once

#include <cstdint>
#include <vector>

namespace arcshard::head {

// Consecutive places (see ActiveClasses) that one thread processes together.
struct Block {
  int64_t begin = 0;
  int64_t rows = 0;
};

// How rows are divided: each thread has a contiguous range of them, and each range is divided into blocks whose W, H
// and S stay in a core's cache. The plan is a function of (rows, dim, threads) alone. The number of rows of every block
// but the last is a multiple of kRowUnit.
struct BlockPlan {
  std::vector<Block> blocks;         // in ascending order
  std::vector<int64_t> first_block;  // for each thread, followed by the number of blocks
  int64_t max_rows = 0;              // in a block

  static BlockPlan Make(int64_t rows, int64_t dim, int threads);

  // Becomes the plan that Make returns, and reuses the memory.
  void Set(int64_t rows, int64_t dim, int threads);

  // The largest number of rows, a multiple of kRowUnit, of a block in any plan for at most `rows` rows.
  static int64_t LargestBlock(int64_t rows, int64_t dim);
};

}  // namespace arcshard::head
