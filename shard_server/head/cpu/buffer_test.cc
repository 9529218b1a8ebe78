#include "shard_server/head/cpu/buffer.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace arcshard::head {
namespace {

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

}  // namespace
}  // namespace arcshard::head
