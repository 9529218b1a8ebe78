// Which classes take part in a sampled step.

#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "shard_server/head/testing/dense_head.h"

namespace arcshard::head {
namespace {

HeadOptions SampledOptions(double rate) {
  HeadOptions options;
  options.num_classes = 1000;
  options.range = {0, 1000};
  options.dim = 12;
  options.threads = 3;
  options.seed = 5;
  options.sample_rate = rate;
  return options;
}

// The classes that the last of `steps` steps changes in a head with `shards` shards.
std::set<int64_t> Changed(int shards, uint64_t steps) {
  const HeadOptions options = SampledOptions(0.1);
  ShardedHead head(options, UnevenRanges(options.num_classes, shards));
  std::vector<float> before;
  for (uint64_t step = 1; step <= steps; ++step) {
    before = head.Weights();
    const std::vector<LabelledGroup> groups = {{RandomBatch(step, 8, options.dim, options.num_classes)}};
    const SummedOutputs sums = head.Forward(groups);
    std::vector<float> r;
    for (const double z : sums.z) r.push_back(static_cast<float>(8.0 / z));
    head.Update(groups, r, std::vector<float>(8, -0.5f), 0.1f);
  }
  const std::vector<float> after = head.Weights();
  std::set<int64_t> changed;
  for (size_t i = 0; i < after.size(); ++i) {
    if (after[i] != before[i]) changed.insert(static_cast<int64_t>(i) / options.dim);
  }
  return changed;
}

TEST(SamplingTest, TheClassesAreTheSameForAnyNumberOfShards) {
  for (const uint64_t steps : {1, 3}) {
    DenseHead dense(SampledOptions(0.1), std::vector<float>(12000, 1.0f));
    for (uint64_t step = 1; step <= steps; ++step) dense.Begin(RandomBatch(step, 8, 12, 1000).labels);
    std::set<int64_t> expected;
    for (int64_t j = 0; j < 1000; ++j) {
      if (dense.active()[j]) expected.insert(j);
    }
    EXPECT_GT(expected.size(), 70u);
    EXPECT_LT(expected.size(), 150u);
    for (const int shards : {1, 2, 3, 5}) EXPECT_EQ(Changed(shards, steps), expected) << shards << " shards";
  }
}

}  // namespace
}  // namespace arcshard::head
