#include "shard_server/head/arithmetic/random_draws.h"

#include <cmath>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "shard_server/head/cpu/update_block.h"

namespace arcshard::head {
namespace {

TEST(FirstWeightsTest, AreNormalWithDeviationOneHundredthAndKnowOnlyTheirClass) {
  constexpr int64_t kQuads = 13000;
  double mean = 0, square = 0, fourth = 0;
  std::set<float> seen;
  float w[4], other[4];
  for (int64_t i = 0; i < kQuads; ++i) {
    FirstWeights(7, i / 32, i % 32, w);
    for (const float value : w) {
      seen.insert(value);
      mean += value / (4.0 * kQuads);
      square += std::pow(value / 0.01, 2) / (4.0 * kQuads);
      fourth += std::pow(value / 0.01, 4) / (4.0 * kQuads);
    }
  }
  EXPECT_NEAR(mean, 0.0, 2e-4);
  EXPECT_NEAR(square, 1.0, 0.03);
  EXPECT_NEAR(fourth, 3.0, 0.15);
  EXPECT_GT(seen.size(), 4 * kQuads * 95 / 100);
  FirstWeights(8, 0, 0, other);
  FirstWeights(7, 0, 0, w);
  EXPECT_NE(w[0], other[0]);
}

TEST(SamplingDrawTest, TakesTheShareAskedForAndEverythingAtARateOfOne) {
  for (const double rate : {0.01, 0.1, 0.5}) {
    const SamplingDraw draw(3, rate);
    int64_t taken = 0;
    for (int64_t j = 0; j < 100000; ++j) taken += draw.TakesPart(9, j);
    EXPECT_NEAR(static_cast<double>(taken), rate * 100000, 5 * std::sqrt(rate * 100000));
  }
  const SamplingDraw all(3, 1.0);
  for (int64_t j = 0; j < 1000; ++j) EXPECT_TRUE(all.TakesPart(1, j));
}

TEST(SamplingDrawTest, AnotherStepOrSeedTakesOthers) {
  const SamplingDraw draw(3, 0.5), other(4, 0.5);
  int same_step = 0, same_seed = 0;
  for (int64_t j = 0; j < 10000; ++j) {
    same_seed += draw.TakesPart(1, j) == draw.TakesPart(2, j);
    same_step += draw.TakesPart(1, j) == other.TakesPart(1, j);
  }
  EXPECT_NEAR(same_seed, 5000, 250);
  EXPECT_NEAR(same_step, 5000, 250);
}

TEST(RoundingBitsTest, ARowsBitsAreThoseOfEachOfItsDimensions) {
  const RoundingBits rounding(12345);
  for (const int64_t dim : {1, 7, 8, 130, 515}) {
    std::vector<uint32_t> bits(RandomsOfRow(dim) / 3);
    const int64_t j = (int64_t{1} << 39) + 17;
    FillRoundingBits(rounding, uint64_t{1} << 33, j, Rounded::kMoment1, dim, bits.data());
    for (int64_t d = 0; d < dim; ++d) {
      const auto words = rounding.Words(uint64_t{1} << 33, j, d / 8, Rounded::kMoment1);
      ASSERT_EQ(bits[d], RoundingBits::Of(words, static_cast<int>(d % 8))) << d << " of " << dim;
    }
  }
}

TEST(RoundingBitsTest, DifferBetweenStepsClassesAndWhatIsRounded) {
  const RoundingBits rounding(1);
  const auto words = rounding.Words(5, 6, 7, Rounded::kWeight);
  EXPECT_NE(words, rounding.Words(6, 6, 7, Rounded::kWeight));
  EXPECT_NE(words, rounding.Words(5, 7, 7, Rounded::kWeight));
  EXPECT_NE(words, rounding.Words(5, 6, 8, Rounded::kWeight));
  EXPECT_NE(words, rounding.Words(5, 6, 7, Rounded::kMoment0));
  EXPECT_NE(words, Philox(1, 5, 6)) << "the draw of classes";
}

}  // namespace
}  // namespace arcshard::head
