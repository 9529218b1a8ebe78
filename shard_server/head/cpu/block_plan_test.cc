#include "shard_server/head/cpu/block_plan.h"

#include "gtest/gtest.h"

namespace arcshard::head {
namespace {

TEST(BlockPlanTest, EveryRowIsInOneBlockAndEachThreadHasAContiguousShare) {
  for (const int64_t rows : {0, 1, 15, 16, 17, 1000, 100003}) {
    for (const int64_t dim : {1, 16, 512, 65536}) {
      for (const int threads : {1, 2, 7}) {
        const BlockPlan plan = BlockPlan::Make(rows, dim, threads);
        ASSERT_EQ(plan.first_block.size(), static_cast<size_t>(threads) + 1);
        EXPECT_EQ(plan.first_block.front(), 0);
        EXPECT_EQ(plan.first_block.back(), static_cast<int64_t>(plan.blocks.size()));
        int64_t next = 0;
        for (const Block& block : plan.blocks) {
          EXPECT_EQ(block.begin, next);
          EXPECT_GT(block.rows, 0);
          EXPECT_LE(block.rows, plan.max_rows);
          next += block.rows;
        }
        EXPECT_EQ(next, rows);
      }
    }
  }
}

TEST(BlockPlanTest, ThreadsOfALargeShardHaveEqualShares) {
  const BlockPlan plan = BlockPlan::Make(100000, 512, 3);
  for (int thread = 0; thread < 3; ++thread) {
    int64_t rows = 0;
    for (int64_t b = plan.first_block[thread]; b < plan.first_block[thread + 1]; ++b) rows += plan.blocks[b].rows;
    EXPECT_NEAR(static_cast<double>(rows), 100000 / 3.0, 32);
  }
}

}  // namespace
}  // namespace arcshard::head
