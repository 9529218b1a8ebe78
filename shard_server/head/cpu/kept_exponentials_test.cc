#include "shard_server/head/cpu/kept_exponentials.h"

#include <vector>

#include "gtest/gtest.h"

namespace arcshard::head {
namespace {

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
