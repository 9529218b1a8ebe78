#include "shard_server/head/cpu/kept/early_gradient.h"

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "shard_server/head/cpu/buffer.h"

namespace arcshard::head {
namespace {

constexpr int64_t kDim = 8192;
constexpr int64_t kSlot = 16 * kDim;  // values of a block of 16 rows

class EarlyGradientTest : public testing::Test {
 protected:
  absl::Span<unsigned char> Memory(int64_t slots) {
    EXPECT_TRUE(memory_.Reserve(slots * kSlot * static_cast<int64_t>(sizeof(float)), "a test").ok());
    return {memory_.data(), static_cast<size_t>(memory_.size())};
  }

  const BlockPlan plan_ = BlockPlan::Make(7 * 16, kDim, 2);  // 7 blocks of 16 rows
  Buffer<unsigned char> memory_;
  EarlyGradient early_;
};

TEST_F(EarlyGradientTest, EachThreadFillsItsShareOfTheMemoryWithItsFirstBlocks) {
  early_.Start(Memory(5), plan_, kDim);
  for (const int thread : {0, 1}) {
    std::vector<int64_t> numbers;
    std::vector<float*> slots;
    while (early_.HasNext(thread)) {
      numbers.push_back(early_.Next(thread));
      slots.push_back(early_.NextSlot(thread));
      for (int64_t i = 0; i < kSlot; ++i) slots.back()[i] = 1.0f;  // AddressSanitizer sees one outside
      early_.Add(thread);
    }
    const int64_t first = plan_.first_block[static_cast<size_t>(thread)];
    EXPECT_EQ(numbers, std::vector<int64_t>({first, first + 1})) << "the fifth slot belongs to nobody";
    EXPECT_EQ(slots[1], slots[0] + kSlot);
    EXPECT_EQ(early_.Of(thread, first), slots[0]);
    EXPECT_EQ(early_.Of(thread, first + 1), slots[1]);
    EXPECT_EQ(early_.Of(thread, first + 2), nullptr);
  }
  EXPECT_EQ(early_.Of(1, plan_.first_block[1]), early_.Of(0, 0) + 2 * kSlot);
}

TEST_F(EarlyGradientTest, ItEndsWithTheBlocksOfAThread) {
  early_.Start(Memory(20), plan_, kDim);
  for (const int thread : {0, 1}) {
    int64_t blocks = 0;
    for (; early_.HasNext(thread); ++blocks) early_.Add(thread);
    EXPECT_EQ(blocks,
              plan_.first_block[static_cast<size_t>(thread) + 1] - plan_.first_block[static_cast<size_t>(thread)]);
  }
}

TEST_F(EarlyGradientTest, WithoutRoomForABlockOfEachThreadNothingIsComputed) {
  early_.Start(Memory(1), plan_, kDim);
  EXPECT_FALSE(early_.HasNext(0) || early_.HasNext(1));
  EXPECT_EQ(early_.Of(0, 0), nullptr);
  early_.Start({}, plan_, kDim);
  EXPECT_FALSE(early_.HasNext(0));
  const BlockPlan empty = BlockPlan::Make(0, kDim, 2);
  early_.Start(Memory(2), empty, kDim);
  EXPECT_FALSE(early_.HasNext(0));
}

TEST_F(EarlyGradientTest, AFurtherStartForgetsWhatWasComputed) {
  early_.Start(Memory(4), plan_, kDim);
  early_.Add(0);
  early_.Clear();
  EXPECT_FALSE(early_.started());
  early_.Start(Memory(4), plan_, kDim);
  EXPECT_EQ(early_.Of(0, 0), nullptr);
  EXPECT_EQ(early_.Next(0), 0);
}

}  // namespace
}  // namespace arcshard::head
