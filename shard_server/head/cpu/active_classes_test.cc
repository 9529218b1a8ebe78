#include "shard_server/head/cpu/active_classes.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

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

// The rows of all blocks, in order.
std::vector<int64_t> RowsOf(const ActiveClasses& active) {
  std::vector<int64_t> rows;
  for (const Block& block : active.blocks().blocks) {
    const BlockRows list = active.RowsOf(block);
    for (int64_t i = 0; i < list.count; ++i) rows.push_back(list[i]);
  }
  return rows;
}

LabelSet LabelsOf(const std::vector<int64_t>& labels) {
  LabelSet set;
  set.Assign(labels);
  return set;
}

TEST(ActiveClassesTest, ListsEachTargetOfTheRangeOnceAndInOrderAmongTheDrawn) {
  HeadOptions options = SampledOptions(1e-9);  // nothing is drawn
  options.range = {100, 900};
  for (const int threads : {1, 2, 7}) {
    options.threads = threads;
    WorkerPool pool(threads);
    ActiveClasses active(options);
    ASSERT_TRUE(active.Allocate().ok());
    active.Choose(1, LabelsOf({500, 100, 99, 500, 899, 900, 0}), pool);
    EXPECT_THAT(RowsOf(active), testing::ElementsAre(0, 400, 799));
    EXPECT_EQ(active.PlaceOf(500), 1);
    EXPECT_EQ(active.PlaceOf(899), 2);
    active.Choose(2, {}, pool);
    EXPECT_TRUE(RowsOf(active).empty());
  }
}

TEST(ActiveClassesTest, IsThatOfItsStepWhateverTheThreadsAndWithoutSamplingAllRowsTakePart) {
  std::vector<int64_t> first;
  for (const int threads : {1, 4}) {
    HeadOptions options = SampledOptions(0.3);
    options.threads = threads;
    WorkerPool pool(threads);
    ActiveClasses active(options);
    ASSERT_TRUE(active.Allocate().ok());
    active.Choose(7, LabelsOf({3}), pool);
    if (first.empty()) first = RowsOf(active);
    EXPECT_EQ(RowsOf(active), first);
    active.Choose(8, LabelsOf({3}), pool);
    EXPECT_NE(RowsOf(active), first);
  }
  const ActiveClasses all(SampledOptions(1.0));
  EXPECT_EQ(RowsOf(all).size(), 1000u);
  EXPECT_EQ(all.PlaceOf(77), 77);
}

}  // namespace
}  // namespace arcshard::head
