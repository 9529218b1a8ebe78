#include "common/config/head_memory.h"

#include <limits>

#include "gtest/gtest.h"

namespace arcshard {
namespace {

RunConfig Config() {
  RunConfig config;
  config.backbone.embedding_size = 512;
  config.data.batch_size = 128;
  config.data.micro_batch_size = 32;
  return config;
}

TEST(HeadMemoryTest, AClassHasItsCenterItsMomentsAndAnInverseNorm) {
  RunConfig config = Config();
  EXPECT_EQ(HeadBytesPerClass(config), 4100);
  config.head.moments = "bfloat16";
  EXPECT_EQ(HeadBytesPerClass(config), 3076);
  config.head.weights = "bfloat16";
  EXPECT_EQ(HeadBytesPerClass(config), 2052);
  config.optimizer.kind = "adamw";
  EXPECT_EQ(HeadBytesPerClass(config), 3080);
}

TEST(HeadMemoryTest, ExponentialsAreCountedAsTheHeadPadsThem) {
  RunConfig config = Config();
  EXPECT_EQ(HeadExponentialBytes(config, 1000), 1008 * 128 * 4);
  config.data.micro_batch_size = 24;  // five of 24, each padded to 32, and one of 8
  EXPECT_EQ(HeadExponentialBytes(config, 1000), 1008 * (5 * 32 + 16) * 4);
  config.head.compute = "bfloat16";
  EXPECT_EQ(HeadExponentialBytes(config, 1000), 1008 * (5 * 32 + 16) * 2);
}

TEST(HeadMemoryTest, OfTheBudgetARangeHasWhatItsClassesCanUse) {
  RunConfig config = Config();  // a budget of 256 MiB
  EXPECT_EQ(HeadBytesOfRange(config, 40).rows, 40 * 4100);
  EXPECT_EQ(HeadBytesOfRange(config, 40).kept, 48 * (128 + 512) * 4) << "exponentials and gradient";
  EXPECT_EQ(HeadBytesOfRange(config, 0).kept, 0);
  EXPECT_EQ(HeadBytesOfRange(config, 10'000'000).kept, int64_t{256} << 20);
  config.head.compute = "bfloat16";
  EXPECT_EQ(HeadBytesOfRange(config, 40).kept, 48 * (128 * 2 + 512 * 4)) << "the gradient is float32";
  config.head.exp_budget_mb = 0;
  EXPECT_EQ(HeadBytesOfRange(config, 40).kept, 0);
}

TEST(HeadMemoryTest, WithSamplingTheClassesThatAStepCanHaveAreCounted) {
  RunConfig config = Config();
  config.head.exp_budget_mb = 1 << 20;
  constexpr int64_t kGradient = int64_t{16} << 20;
  const int64_t all = HeadBytesOfRange(config, 1'000'000).kept - kGradient;
  config.head.sample_rate = 0.1;
  const int64_t drawn = HeadBytesOfRange(config, 1'000'000).kept - kGradient;
  EXPECT_GT(drawn, all / 10);
  EXPECT_LT(drawn, all / 9);
  // Every class of a small range can take part.
  EXPECT_EQ(HeadBytesOfRange(config, 100).kept, 112 * (128 + 512) * 4);
}

TEST(HeadMemoryTest, ARangeThatNoMachineHoldsIsTheLargestNumber) {
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  RunConfig config = Config();
  EXPECT_EQ(HeadBytesOfRange(config, kLargest).rows, kLargest);
  EXPECT_EQ(HeadBytesOfRange(config, kLargest).kept, int64_t{256} << 20);
  config.head.sample_rate = 0.5;
  EXPECT_EQ(HeadBytesOfRange(config, kLargest).rows, kLargest);
}

TEST(HeadMemoryTest, OnlyAShardWithPeersKeepsALog) {
  RunConfig config = Config();
  EXPECT_EQ(ReplayLogBytes(config, 1), 0);
  EXPECT_EQ(ReplayLogBytes(config, 2), int64_t{1} << 30);
  config.cluster.log_mb = 3;
  EXPECT_EQ(ReplayLogBytes(config, 5), 3 << 20);
  config.cluster.log_mb = 0;
  EXPECT_EQ(ReplayLogBytes(config, 5), 0);
}

}  // namespace
}  // namespace arcshard
