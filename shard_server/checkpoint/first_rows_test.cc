#include "shard_server/checkpoint/first_rows.h"

#include <gtest/gtest.h>

#include "shard_server/checkpoint/testing/checkpoint_test_kit.h"

namespace arcshard::shard {
namespace {

head::HeadOptions Options() {
  head::HeadOptions options;
  options.num_classes = 50;
  options.range = {7, 50};
  options.dim = 10;
  options.seed = 5;
  return options;
}

// Trains a head, takes it back to its first rows, and compares all that it holds with a new one.
void ExpectFirstRows(const head::HeadOptions& options, int64_t block_bytes = 1 << 20) {
  TrainedHeads trained(options, {{0, options.range.begin}, options.range});
  const HeldRows first = RowsHeldBy(*trained.head(1));
  for (int step = 0; step < 3; ++step) trained.Step();
  ASSERT_FALSE(RowsHeldBy(*trained.head(1)) == first);
  const absl::Status status = WriteFirstRows(trained.head(1), block_bytes);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(RowsHeldBy(*trained.head(1)) == first);
}

TEST(FirstRowsTest, AHeadThatHasTrainedHoldsWhatANewOneHolds) {
  ExpectFirstRows(Options());
  head::HeadOptions sampled = Options();
  sampled.sample_rate = 0.3;
  sampled.exp_budget_bytes = 1 << 20;
  ExpectFirstRows(sampled);
}

TEST(FirstRowsTest, AlsoTheMomentsAndCountsOfAdamWInBfloat16) {
  head::HeadOptions options = Options();
  options.optimizer = head::AdamWOptions();
  options.weights = options.moments = head::DataType::kBfloat16;
  ExpectFirstRows(options);
}

TEST(FirstRowsTest, AlsoWhereTheRowsAreMadeInSeveralBlocks) {
  for (const int64_t rows_of_a_block : {0, 1, 10, 42, 43}) {
    ExpectFirstRows(Options(), rows_of_a_block * Options().dim * static_cast<int64_t>(sizeof(float)));
  }
}

TEST(FirstRowsTest, AnEmptyRangeHasNone) {
  head::HeadOptions options = Options();
  options.range = {50, 50};
  auto head = head::Head::Create(options, int64_t{1} << 30);
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_TRUE(WriteFirstRows(head->get()).ok());
}

}  // namespace
}  // namespace arcshard::shard
