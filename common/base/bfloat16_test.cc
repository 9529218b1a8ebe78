#include "common/base/bfloat16.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "common/base/bfloat16_arrays.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float Nearest16(float x) { return Widen(RoundToNearest(x)); }

TEST(RoundToNearestTest, KeepsWhatFitsAndTakesTheEvenOneOfTwoEquallyNear) {
  for (const float x : {0.0f, -0.0f, 1.0f, -1.5f, 0x1.fep127f, kInfinity, -kInfinity, 0x1p-133f}) {
    EXPECT_EQ(std::bit_cast<uint32_t>(Nearest16(x)), std::bit_cast<uint32_t>(x));
  }
  EXPECT_EQ(Nearest16(1.0f + 0x1p-8f), 1.0f);            // half a step above an even one
  EXPECT_EQ(Nearest16(1.0f + 0x3p-8f), 1.0f + 0x1p-6f);  // half a step above an odd one
  EXPECT_EQ(Nearest16(1.0f + 0x1.1p-8f), 1.0f + 0x1p-7f);
  EXPECT_EQ(Nearest16(std::numeric_limits<float>::max()), kInfinity);
}

TEST(RoundToNearestTest, ANaNStaysANaNWhereverItsBitsAre) {
  for (const uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xff800001u, 0xffffffffu, 0x7fc00000u}) {
    EXPECT_TRUE(std::isnan(Nearest16(std::bit_cast<float>(bits)))) << bits;
  }
}

// Each exponent and sign with some mantissas: ties, what is next to them, and odd lengths for the ends of loops.
TEST(Bfloat16ArraysTest, AnArrayIsConvertedAsItsValuesAre) {
  std::vector<float> values;
  for (uint32_t upper = 0; upper < 0x10000u; upper += 0x15u) {
    for (const uint32_t lower : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      values.push_back(std::bit_cast<float>(upper << 16 | lower));
    }
  }
  for (const size_t count : {size_t{0}, size_t{1}, size_t{7}, size_t{33}, values.size()}) {
    const std::vector<float> some(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count));
    std::vector<float> rounded = some, read(count);
    RoundToBfloat16(absl::MakeSpan(rounded));
    std::vector<char> bytes(2 * count + 1, 'x');
    NarrowToBytes(some, bytes.data() + 1);  // at an odd address
    WidenFromBytes(bytes.data() + 1, absl::MakeSpan(read));
    EXPECT_EQ(bytes[0], 'x');
    for (size_t i = 0; i < count; ++i) {
      const uint32_t expected = std::bit_cast<uint32_t>(Nearest16(some[i]));
      ASSERT_EQ(std::bit_cast<uint32_t>(rounded[i]), expected) << some[i];
      ASSERT_EQ(std::bit_cast<uint32_t>(read[i]), expected) << some[i];
    }
  }
}

}  // namespace
}  // namespace arcshard
