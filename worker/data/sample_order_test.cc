#include "worker/data/sample_order.h"

#include <cmath>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace arcshard::worker {
namespace {

std::vector<int64_t> Order(uint64_t seed, uint64_t epoch, int64_t samples) {
  const SampleOrder order(seed, epoch, samples);
  std::vector<int64_t> result;
  for (int64_t i = 0; i < samples; ++i) result.push_back(order.SampleAt(i));
  return result;
}

TEST(SampleOrderTest, EverySampleStandsAtOnePosition) {
  for (const int64_t samples : {1, 2, 3, 4, 5, 7, 16, 17, 96, 1000, 19280}) {
    const std::vector<int64_t> order = Order(1, 0, samples);
    const std::set<int64_t> distinct(order.begin(), order.end());
    EXPECT_EQ(static_cast<int64_t>(distinct.size()), samples);
    EXPECT_EQ(*distinct.begin(), 0);
    EXPECT_EQ(*distinct.rbegin(), samples - 1);
  }
}

TEST(SampleOrderTest, SeedAndEpochChangeItAndNothingElseDoes) {
  EXPECT_EQ(Order(1, 2, 100), Order(1, 2, 100));
  EXPECT_NE(Order(1, 2, 100), Order(1, 3, 100));
  EXPECT_NE(Order(1, 2, 100), Order(2, 2, 100));
  EXPECT_NE(Order(1, 0, 100), Order(uint64_t{1} << 32 | 1, 0, 100));
}

// The order is recorded here, because a resumed run and workers of other builds must see the same one.
TEST(SampleOrderTest, TheOrderOfSeedOneIsTheRecordedOne) {
  EXPECT_EQ(Order(1, 0, 10), (std::vector<int64_t>{8, 9, 6, 3, 5, 0, 4, 2, 7, 1}));
}

TEST(SampleOrderTest, EverySampleIsEquallyLikelyAtEveryPosition) {
  constexpr int64_t kSamples = 12;
  constexpr int kEpochs = 12000;
  std::vector<int> counts(kSamples * kSamples);
  std::vector<int> follows(kSamples * kSamples);
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    const std::vector<int64_t> order = Order(7, epoch, kSamples);
    for (int64_t i = 0; i < kSamples; ++i) ++counts[i * kSamples + order[i]];
    for (int64_t i = 1; i < kSamples; ++i) ++follows[order[i - 1] * kSamples + order[i]];
  }
  // Counts are binomial; they may differ from their mean by six standard deviations.
  for (const int count : counts) EXPECT_NEAR(count, 1000, 6 * std::sqrt(1000.0));
  for (int64_t a = 0; a < kSamples; ++a) {
    for (int64_t b = 0; b < kSamples; ++b) {
      if (a != b) {
        EXPECT_NEAR(follows[a * kSamples + b], 1000, 6 * std::sqrt(1000.0));
      }
    }
  }
}

TEST(SampleOrderTest, ALargeSetNeedsNoTable) {
  const SampleOrder order(1, 0, int64_t{1} << 40);
  std::set<int64_t> seen;
  for (int64_t i = 0; i < 1000; ++i) seen.insert(order.SampleAt((int64_t{1} << 40) - 1 - i));
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_GT(*seen.rbegin(), int64_t{1} << 39);
  EXPECT_LT(*seen.begin(), int64_t{1} << 39);
}

}  // namespace
}  // namespace arcshard::worker
