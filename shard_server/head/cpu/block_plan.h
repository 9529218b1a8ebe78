#pragma once

#include <cstdint>
#include <vector>

namespace arcshard::head {

// Consecutive rows that one thread walks together: of a shard, or of those that take part in a sampled step.
struct Block {
  int64_t begin = 0;
  int64_t rows = 0;
};

// How rows are divided: each thread has a contiguous range of them, each range is cut into blocks whose W, H and S stay
// in a core's cache. A function of (rows, dim, threads) alone. Every block but the last has rows in kRowUnit.
struct BlockPlan {
  std::vector<Block> blocks;         // in order
  std::vector<int64_t> first_block;  // of each thread, and the number of blocks at last
  int64_t max_rows = 0;              // of a block

  static BlockPlan Make(int64_t rows, int64_t dim, int threads);

  // Becomes Make's, in the memory that is there.
  void Set(int64_t rows, int64_t dim, int threads);

  // No block of a plan for at most `rows` rows has more, in kRowUnit.
  static int64_t LargestBlock(int64_t rows, int64_t dim);
};

}  // namespace arcshard::head
