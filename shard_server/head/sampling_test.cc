// Which classes take part in a sampled step.

#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shard_server/head/step_plan.h"
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

// The classes that a step of a head over `shards` shards changed.
std::set<int64_t> Changed(int shards, uint64_t steps) {
  const HeadOptions options = SampledOptions(0.1);
  ShardedHead head(options, UnevenRanges(options.num_classes, shards));
  std::vector<float> before;
  for (uint64_t step = 1; step <= steps; ++step) {
    before = head.Weights();
    const std::vector<MicroBatchGroup> groups = {{RandomMicroBatch(step, 8, options.dim, options.num_classes)}};
    const Sums sums = head.Forward(groups);
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
    for (uint64_t step = 1; step <= steps; ++step) dense.Begin(RandomMicroBatch(step, 8, 12, 1000).labels);
    std::set<int64_t> expected;
    for (int64_t j = 0; j < 1000; ++j) {
      if (dense.active()[j]) expected.insert(j);
    }
    EXPECT_GT(expected.size(), 70u);
    EXPECT_LT(expected.size(), 150u);
    for (const int shards : {1, 2, 3, 5}) EXPECT_EQ(Changed(shards, steps), expected) << shards << " shards";
  }
}

// The rows of all blocks of the plan, in order.
std::vector<int64_t> RowsOf(const StepPlan& plan) {
  std::vector<int64_t> rows;
  for (const Block& block : plan.blocks().blocks) {
    const BlockRows list = plan.RowsOf(block);
    for (int64_t i = 0; i < list.count; ++i) rows.push_back(list[i]);
  }
  return rows;
}

TEST(StepPlanTest, ListsEachTargetOfTheRangeOnceAndInOrderAmongTheDrawn) {
  HeadOptions options = SampledOptions(1e-9);  // nothing is drawn
  options.range = {100, 900};
  for (const int threads : {1, 2, 7}) {
    options.threads = threads;
    WorkerPool pool(threads);
    StepPlan plan(options);
    ASSERT_TRUE(plan.Allocate().ok());
    plan.Choose(1, {500, 100, 99, 500, 899, 900, 0}, pool);
    EXPECT_THAT(RowsOf(plan), testing::ElementsAre(0, 400, 799));
    EXPECT_EQ(plan.PlaceOf(500), 1);
    EXPECT_EQ(plan.PlaceOf(899), 2);
    EXPECT_FALSE(plan.Unannounced(99)) << "another shard's";
    EXPECT_TRUE(plan.Unannounced(501));
    plan.Choose(2, {}, pool);
    EXPECT_TRUE(RowsOf(plan).empty());
  }
}

TEST(StepPlanTest, IsThatOfItsStepWhateverTheThreadsAndWithoutSamplingAllRowsTakePart) {
  std::vector<int64_t> first;
  for (const int threads : {1, 4}) {
    HeadOptions options = SampledOptions(0.3);
    options.threads = threads;
    WorkerPool pool(threads);
    StepPlan plan(options);
    ASSERT_TRUE(plan.Allocate().ok());
    plan.Choose(7, {3}, pool);
    if (first.empty()) first = RowsOf(plan);
    EXPECT_EQ(RowsOf(plan), first);
    plan.Choose(8, {3}, pool);
    EXPECT_NE(RowsOf(plan), first);
  }
  const StepPlan all(SampledOptions(1.0));
  EXPECT_EQ(RowsOf(all).size(), 1000u);
  EXPECT_EQ(all.PlaceOf(77), 77);
  EXPECT_FALSE(all.Unannounced(77));
}

}  // namespace
}  // namespace arcshard::head
