#include "shard_server/head/arithmetic/bfloat16.h"

#include <bit>
#include <cmath>
#include <limits>

#include "common/base/philox.h"
#include "gtest/gtest.h"

namespace arcshard::head {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(RoundStochasticallyTest, ANaNStaysANaNWhereverItsBitsAre) {
  for (const uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xff800001u, 0xffffffffu, 0x7fc00000u}) {
    EXPECT_TRUE(std::isnan(Widen(RoundStochastically(std::bit_cast<float>(bits), 0xffff)))) << bits;
  }
}

TEST(RoundStochasticallyTest, GoesUpAsOftenAsThePartCutOffSays) {
  for (const float x : {1.0f + 0x1p-9f, -1.0f - 0x1.8p-8f, 3.14159e-5f, 0x1.3p-130f}) {
    const float below = Widen(Bfloat16{static_cast<uint16_t>(std::bit_cast<uint32_t>(x) >> 16)});
    const uint32_t rest = std::bit_cast<uint32_t>(x) & 0xffffu;
    uint32_t up = 0;
    for (uint32_t random = 0; random < 0x10000u; ++random) up += Widen(RoundStochastically(x, random)) != below;
    EXPECT_EQ(up, rest) << x;
  }
}

TEST(RoundStochasticallyTest, KeepsWhatFitsWhateverTheBits) {
  for (const float x : {0.0f, 1.0f, -2.5f, 0x1.fep127f, kInfinity, -kInfinity}) {
    EXPECT_EQ(Widen(RoundStochastically(x, 0xffff)), x);
  }
}

TEST(RoundStochasticallyTest, NoFiniteValueBecomesInfinite) {
  const float largest = std::numeric_limits<float>::max();
  EXPECT_EQ(Widen(RoundStochastically(largest, 0xffff)), 0x1.fep127f);
  EXPECT_EQ(Widen(RoundStochastically(-largest, 0xffff)), -0x1.fep127f);
}

}  // namespace
}  // namespace arcshard::head
