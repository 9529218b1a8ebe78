#include "coordinator/policy/ranges.h"

#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kGib = uint64_t{1} << 30;
constexpr auto kTiny = [](int64_t classes) { return HeadRangeBytes{.rows = classes, .kept = 0}; };

struct Case {
  int64_t num_classes;
  std::vector<uint64_t> capacities;
  std::vector<int64_t> ends;
};

TEST(Ranges, TableOfSmallCases) {
  const std::vector<Case> cases = {
      {964, {kGib}, {964}},
      {964, {kGib, kGib, kGib}, {321, 642, 964}},
      {10, {3 * kGib, kGib}, {7, 10}},
      {10, {kGib, 0, kGib}, {5, 5, 10}},
      {2, {kGib, kGib, kGib, kGib, kGib}, {0, 0, 1, 1, 2}},
      {1, {kGib, kGib}, {0, 1}},
      {std::numeric_limits<int64_t>::max(),
       {std::numeric_limits<uint64_t>::max(), std::numeric_limits<uint64_t>::max()},
       {std::numeric_limits<int64_t>::max() / 2, std::numeric_limits<int64_t>::max()}},
  };
  for (const Case& test : cases) {
    const auto ranges = AssignRanges(test.num_classes, test.capacities, kTiny);
    ASSERT_TRUE(ranges.ok()) << ranges.status();
    std::vector<int64_t> ends;
    for (const ClassRange& range : *ranges) ends.push_back(range.end);
    EXPECT_EQ(ends, test.ends);
  }
}

TEST(Ranges, OfAnyNumberOfClassesOverAnyShardsCoverAllClassesInProportionWithinOne) {
  std::mt19937_64 random(20261124);
  for (int round = 0; round < 2000; ++round) {
    const int64_t n = std::uniform_int_distribution<int64_t>(1, round % 2 == 0 ? 50 : 1'000'000'000)(random);
    std::vector<uint64_t> capacities(std::uniform_int_distribution<size_t>(1, 70)(random));
    for (uint64_t& capacity : capacities) {
      capacity = random() % 5 == 0 ? 0 : std::uniform_int_distribution<uint64_t>(1, 256 * kGib)(random);
    }
    capacities[random() % capacities.size()] = kGib;
    const double total = std::accumulate(capacities.begin(), capacities.end(), 0.0);

    const auto ranges = AssignRanges(n, capacities, [](int64_t) { return HeadRangeBytes{}; });
    ASSERT_TRUE(ranges.ok()) << ranges.status();
    ASSERT_EQ(ranges->size(), capacities.size());
    int64_t expected_begin = 0;
    for (size_t k = 0; k < ranges->size(); ++k) {
      const ClassRange& range = (*ranges)[k];
      ASSERT_EQ(range.begin, expected_begin);
      ASSERT_GE(range.size(), 0);
      ASSERT_NEAR(static_cast<double>(range.size()), static_cast<double>(n) * capacities[k] / total, 1.0 + 1e-6);
      if (capacities[k] == 0) {
        ASSERT_EQ(range.size(), 0);
      }
      expected_begin = range.end;
    }
    ASSERT_EQ(expected_begin, n);
  }
}

absl::StatusOr<std::vector<ClassRange>> Assign(const RunConfig& config, int64_t classes,
                                               const std::vector<uint64_t>& capacities) {
  return AssignRanges(classes, capacities, [&](int64_t of_shard) { return HeadBytesOfRange(config, of_shard); });
}

RunConfig Config(int64_t exp_budget_mb) {
  RunConfig config;  // D = 512, batches of 128 in micro-batches of 32
  config.data.batch_size = 128;
  config.data.micro_batch_size = 32;
  config.head.exp_budget_mb = exp_budget_mb;
  return config;
}

TEST(Ranges, ThatDoNotFitAreRefusedWithTheFigures) {
  // 1 GiB holds 261,888 classes of 4100 bytes.
  const RunConfig config = Config(0);
  EXPECT_TRUE(Assign(config, 2 * 261'888, {kGib, kGib}).ok());
  const auto ranges = Assign(config, 2 * 261'890, {kGib, kGib});
  EXPECT_EQ(ranges.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(ranges.status().message()),
              HasSubstr("shard 0 would hold classes [0, 261890), which take 1073749000 bytes (1024.0 MiB): 1073749000 "
                        "bytes of class centers and moments and 0 of kept exponentials"));
  EXPECT_THAT(std::string(ranges.status().message()), HasSubstr("its capacity is 1073741824 bytes (1024.0 MiB)"));
}

TEST(Ranges, CountKeptExponentialsThatCanBeUsedUpToTheirBudget) {
  const RunConfig config = Config(1);
  // 100 classes: 410,000 bytes of rows, and exponentials and gradient of 112 rows (below the budget of 1 MiB).
  EXPECT_TRUE(Assign(config, 100, {696'720}).ok());
  EXPECT_EQ(Assign(config, 100, {696'719}).status().code(), absl::StatusCode::kResourceExhausted);
  // 10,000 classes: 41,000,000 bytes of rows and the whole budget.
  EXPECT_TRUE(Assign(config, 10'000, {42'048'576}).ok());
  EXPECT_FALSE(Assign(config, 10'000, {42'048'575}).ok());
}

TEST(Ranges, FitASmallCapacityWhateverTheBudgetIfTheirClassesAreFew) {
  const RunConfig config = Config(1 << 20);  // a TiB
  EXPECT_TRUE(Assign(config, 40, {1 << 20}).ok());
}

TEST(Ranges, OfShardsWithoutCapacityAreRefused) {
  EXPECT_EQ(AssignRanges(10, std::vector<uint64_t>{0, 0}, kTiny).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(Ranges, OfNoClassesOrNoShardsAreRefused) {
  EXPECT_EQ(AssignRanges(0, std::vector<uint64_t>{kGib}, kTiny).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(AssignRanges(10, {}, kTiny).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace arcshard::coordinator
