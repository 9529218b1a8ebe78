#include "shard_server/head/cpu/kernels/block_ops.h"

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "common/protocol/logit_shift.h"
#include "gtest/gtest.h"

namespace arcshard::head {
namespace {

TEST(NegativeExponentialTest, IsTheExponentialOverTheWholeRangeOfCosines) {
  for (const double scale : {1.0, 30.0, 64.0, 80.0}) {
    for (const int64_t classes : {int64_t{1}, int64_t{1000}, int64_t{1000000000}}) {
      const NegativeExponential exponential(scale, classes);
      for (double cosine = -1.0; cosine <= 1.0; cosine += 1.0 / 512) {
        const double expected = std::exp(scale * cosine - LogitShift(scale, classes));
        const double actual = exponential(static_cast<float>(cosine), 1.0f).p;
        if (expected > std::numeric_limits<float>::min()) {
          EXPECT_NEAR(actual / expected, 1.0, 4e-6) << scale << " " << classes << " " << cosine;
        } else {
          EXPECT_LE(actual, std::numeric_limits<float>::min());
        }
      }
    }
  }
}

TEST(NegativeExponentialTest, ClampsTheCosineAndPassesANaN) {
  const NegativeExponential exponential(64.0, 1000);
  EXPECT_EQ(exponential(1.5f, 1.0f).p, exponential(1.0f, 1.0f).p);
  EXPECT_EQ(exponential(-1.5f, 1.0f).p, exponential(-1.0f, 1.0f).p);
  EXPECT_EQ(exponential(std::numeric_limits<float>::infinity(), 1.0f).p, exponential(1.0f, 1.0f).p);
  EXPECT_TRUE(std::isnan(exponential(std::nanf(""), 1.0f).p));
}

TEST(NegativeExponentialTest, ASumOverAllClassesAtTheLargestLogitStaysFinite) {
  const int64_t classes = 1000000000;
  const NegativeExponential exponential(80.0, classes);
  const double sum = static_cast<double>(exponential(1.0f, 1.0f).p) * static_cast<double>(classes);
  EXPECT_NEAR(std::log(sum), 69.0, 1e-4);
}

TEST(NegativeExponentialTest, ACosineAboveTheFilterCountsAsALogitOfZeroAndMovesNothing) {
  const NegativeExponential filtered(30.0, 1000, 0.25), all(30.0, 1000);
  for (const float inverse_norm : {1.0f, 4.0f}) {
    const NegativeTerm above = filtered(0.26f / inverse_norm, inverse_norm);
    EXPECT_FLOAT_EQ(above.p, static_cast<float>(std::exp(-LogitShift(30.0, 1000))));
    EXPECT_EQ(above.q, 0.0f);
    const NegativeTerm below = filtered(0.24f / inverse_norm, inverse_norm),
                       same = all(0.24f / inverse_norm, inverse_norm);
    EXPECT_EQ(below.p, same.p);
    EXPECT_EQ(below.q, same.p * inverse_norm);
  }
  EXPECT_TRUE(std::isnan(filtered(std::nanf(""), 1.0f).p));
  EXPECT_TRUE(std::isnan(filtered(std::nanf(""), 1.0f).q));
}

TEST(BlockOpsTest, TheOwnClassIsZeroInQAndAbsentFromZ) {
  constexpr int64_t kRows = 3, kSamples = 37, kStride = 48;
  const NegativeExponential exponential(10.0, 3);
  std::vector<float> s(16 * kStride, 0.25f), z(kSamples, 1.0f);
  const std::vector<float> inverse_norms = {1.0f, 2.0f, 0.0f};
  // The block begins at row 100. Samples 0, 5 and 6 have row 100 as their own class, sample 36 has row 101.
  const std::vector<Target> targets = {{100, 0}, {100, 5}, {100, 6}, {101, 36}};
  ExponentialsOfBlock(exponential, {inverse_norms, kSamples, kStride, 100, targets}, s.data(), z.data());
  for (int64_t i = 0; i < kSamples; ++i) {
    double sum = 1.0;
    for (int64_t j = 0; j < kRows; ++j) {
      const bool own = (j == 0 && (i == 0 || i == 5 || i == 6)) || (j == 1 && i == 36);
      const double p = own ? 0.0 : std::exp(10.0 * 0.25 * inverse_norms[j] - LogitShift(10.0, 3));
      EXPECT_NEAR(s[j * kStride + i], p * inverse_norms[j], 1e-5 * p) << j << " " << i;
      sum += p;
    }
    EXPECT_NEAR(z[i], sum, 1e-5 * sum) << i;
  }
}

TEST(BlockOpsTest, ANormBelowTheLimitCountsAsZeroAndOneAboveDoesNot) {
  const std::vector<float> below = {1e-13f, 1e-13f, 0.0f}, above = {2e-12f, 0.0f, 0.0f}, huge = {3e30f, 4e30f, 0.0f};
  std::vector<float> unit(3), inverse(1);
  UnitVector(3, below.data(), unit.data());
  EXPECT_EQ(unit, std::vector<float>({0.0f, 0.0f, 0.0f}));
  UnitVector(3, above.data(), unit.data());
  EXPECT_FLOAT_EQ(unit[0], 1.0f);
  UnitVector(3, huge.data(), unit.data());
  EXPECT_FLOAT_EQ(unit[1], 0.8f);
  InverseNormsOfRows(3, below.data(), absl::MakeSpan(inverse));
  EXPECT_EQ(inverse[0], 0.0f);
  InverseNormsOfRows(3, above.data(), absl::MakeSpan(inverse));
  EXPECT_FLOAT_EQ(inverse[0], 5e11f);
}

}  // namespace
}  // namespace arcshard::head
