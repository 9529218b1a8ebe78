// The head's smaller parts: the plan of blocks, the threads, the memory for kept exponentials.

#include <atomic>
#include <vector>

#include "gtest/gtest.h"
#include "shard_server/head/cpu/block_plan.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/cpu/kept_exponentials.h"
#include "shard_server/head/cpu/worker_pool.h"

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

TEST(WorkerPoolTest, EachIndexRunsOnceInEveryRoundAndRunWaitsForAll) {
  WorkerPool pool(3);
  std::vector<int> counts(3);
  for (int round = 1; round <= 200; ++round) {
    pool.Run([&](int index) { ++counts[static_cast<size_t>(index)]; });
    ASSERT_EQ(counts, std::vector<int>(3, round));
  }
}

TEST(WorkerPoolTest, APoolOfOneRunsOnTheCaller) {
  WorkerPool pool(1);
  std::thread::id id;
  pool.Run([&](int) { id = std::this_thread::get_id(); });
  EXPECT_EQ(id, std::this_thread::get_id());
}

TEST(BufferTest, GrowsAndNeverShrinksAndIsAligned) {
  Buffer<float> buffer;
  ASSERT_TRUE(buffer.Reserve(100, "a test").ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
  float* const before = buffer.data();
  ASSERT_TRUE(buffer.Reserve(50, "a test").ok());
  EXPECT_EQ(buffer.data(), before);
  ASSERT_TRUE(buffer.Reserve(2 << 20, "a test").ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % (2 << 20), 0u);
  buffer.data()[(2 << 20) - 1] = 1.0f;
  EXPECT_EQ(buffer.size(), 2 << 20);
}

TEST(KeptExponentialsTest, GroupsTakeWhatIsLeftAndSlotsNeverOverlap) {
  KeptExponentials kept;
  ASSERT_TRUE(kept.Init(10 * 64 * 4).ok());
  kept.AddGroup(4, 7, 256);
  kept.AddGroup(4, 7, 256);
  kept.AddGroup(4, 7, 256);
  std::vector<float*> slots;
  std::vector<int> per_group(3);
  for (int64_t g = 0; g < 3; ++g) {
    for (int64_t b = 0; b < 7; ++b) {
      float* const slot = static_cast<float*>(kept.Slot(g, b));
      if (slot == nullptr) continue;
      slots.push_back(slot);
      ++per_group[static_cast<size_t>(g)];
      for (int i = 0; i < 64; ++i) slot[i] = 1.0f;  // AddressSanitizer sees one outside
    }
  }
  EXPECT_EQ(per_group, std::vector<int>({7, 3, 0}));
  for (size_t i = 1; i < slots.size(); ++i) EXPECT_EQ(slots[i], slots[i - 1] + 64);
  // The three of seven are spread over both halves, which are two threads' shares.
  EXPECT_TRUE(kept.Slot(1, 2) != nullptr && kept.Slot(1, 6) != nullptr);
  kept.Clear();
  EXPECT_EQ(kept.groups(), 0);
  kept.AddGroup(4, 7, 256);
  EXPECT_EQ(kept.Slot(0, 0), slots[0]);
}

TEST(KeptExponentialsTest, WithoutABudgetNothingIsKept) {
  KeptExponentials kept;
  ASSERT_TRUE(kept.Init(0).ok());
  kept.AddGroup(4, 7, 256);
  EXPECT_EQ(kept.Slot(0, 3), nullptr);
  EXPECT_EQ(kept.samples(0), 4);
}

}  // namespace
}  // namespace arcshard::head
