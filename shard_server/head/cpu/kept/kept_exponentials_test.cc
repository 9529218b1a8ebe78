#include "shard_server/head/cpu/kept/kept_exponentials.h"

#include <vector>

#include "gtest/gtest.h"

namespace arcshard::head {
namespace {

TEST(KeptExponentialsTest, GroupsTakeWhatIsLeftAndSlotsNeverOverlap) {
  KeptExponentials kept;
  ASSERT_TRUE(kept.Init(10 * 64 * 4).ok());
  const BlockPlan plan = BlockPlan::Make(7 * 16, 8192, 2);  // 7 blocks of 16 rows
  for (int group = 0; group < 3; ++group) kept.AddGroup(4, plan, 16);
  std::vector<float*> slots;
  std::vector<int> per_group(3);
  for (int64_t g = 0; g < 3; ++g) {
    for (int64_t b = 0; b < 7; ++b) {
      float* const slot = static_cast<float*>(kept.Slot(g, b, plan.blocks[static_cast<size_t>(b)]));
      if (slot == nullptr) continue;
      slots.push_back(slot);
      ++per_group[static_cast<size_t>(g)];
      for (int i = 0; i < 64; ++i) slot[i] = 1.0f;  // AddressSanitizer sees one outside
    }
  }
  EXPECT_EQ(per_group, std::vector<int>({7, 3, 0}));
  for (size_t i = 1; i < slots.size(); ++i) EXPECT_EQ(slots[i], slots[i - 1] + 64);
  // The three of seven are spread over both halves, which are two threads' shares.
  EXPECT_TRUE(kept.Slot(1, 2, plan.blocks[2]) != nullptr && kept.Slot(1, 6, plan.blocks[6]) != nullptr);
  kept.Clear();
  EXPECT_EQ(kept.groups(), 0);
  kept.AddGroup(4, plan, 16);
  EXPECT_EQ(kept.Slot(0, 0, plan.blocks[0]), slots[0]);
}

TEST(KeptExponentialsTest, AGroupThatFitsTakesTheBytesOfItsRowsHoweverTheyAreDivided) {
  const BlockPlan plan = BlockPlan::Make(2064, 128, 2);  // blocks of 1024, 512 and 528 rows
  ASSERT_EQ(plan.blocks.size(), 3u);
  KeptExponentials kept;
  ASSERT_TRUE(kept.Init(2 * 2064 * 64).ok());
  kept.AddGroup(16, plan, 64);
  kept.AddGroup(16, plan, 64);
  const char* next = static_cast<const char*>(kept.Slot(0, 0, plan.blocks[0]));
  for (int64_t group = 0; group < 2; ++group) {
    for (size_t b = 0; b < plan.blocks.size(); ++b) {
      EXPECT_EQ(kept.Slot(group, static_cast<int64_t>(b), plan.blocks[b]), next) << group << " " << b;
      next += plan.blocks[b].rows * 64;
    }
  }
}

TEST(KeptExponentialsTest, WithoutABudgetNothingIsKept) {
  const BlockPlan plan = BlockPlan::Make(7 * 16, 8192, 2);
  KeptExponentials kept;
  ASSERT_TRUE(kept.Init(0).ok());
  kept.AddGroup(4, plan, 16);
  EXPECT_EQ(kept.Slot(0, 3, plan.blocks[3]), nullptr);
  EXPECT_EQ(kept.samples(0), 4);
}

TEST(KeptExponentialsTest, AGroupThatWasNotAddedHasNoSlot) {
  const BlockPlan plan = BlockPlan::Make(16, 128, 1);
  KeptExponentials kept;
  ASSERT_TRUE(kept.Init(4096).ok());
  EXPECT_EQ(kept.Slot(0, 0, plan.blocks[0]), nullptr);
  kept.AddGroup(16, plan, 64);
  EXPECT_NE(kept.Slot(0, 0, plan.blocks[0]), nullptr);
  EXPECT_EQ(kept.Slot(1, 0, plan.blocks[0]), nullptr);
  kept.Clear();
  EXPECT_EQ(kept.Slot(0, 0, plan.blocks[0]), nullptr);
}

TEST(KeptExponentialsTest, AGroupWithoutSamplesOrRowsKeepsNothing) {
  KeptExponentials kept;
  ASSERT_TRUE(kept.Init(1024).ok());
  const BlockPlan plan = BlockPlan::Make(16, 128, 1);
  kept.AddGroup(0, plan, 0);
  EXPECT_EQ(kept.Slot(0, 0, plan.blocks[0]), nullptr);
  kept.AddGroup(16, BlockPlan::Make(0, 128, 1), 64);
  kept.AddGroup(16, plan, 64);
  EXPECT_NE(kept.Slot(2, 0, plan.blocks[0]), nullptr);
}

}  // namespace
}  // namespace arcshard::head
