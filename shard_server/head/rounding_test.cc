// Weights and moments stored in bfloat16 and rounded stochastically.

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "shard_server/head/cpu/update_block.h"
#include "shard_server/head/testing/sharded_head.h"

namespace arcshard::head {
namespace {

constexpr DataType kBf16 = DataType::kBfloat16;

HeadOptions NarrowOptions(int64_t classes, int64_t dim) {
  HeadOptions options;
  options.num_classes = classes;
  options.range = {0, classes};
  options.dim = dim;
  options.weights = options.moments = kBf16;
  options.seed = 3;
  return options;
}

// Weight decay alone changes a weight of 0.03 by 1e-4 of its value in a step, a fortieth of the resolution of bfloat16.
TEST(RoundingTest, TenThousandUpdatesOfATenThousandthOfAWeightComeOutRightInTheMean) {
  constexpr int64_t kDim = 512;
  HeadOptions options = NarrowOptions(2, kDim);
  options.optimizer = SgdOptions{.momentum = 0.0f, .weight_decay = 1e-3f};
  ShardedHead head(options, UnevenRanges(2, 1));
  head.SetWeights(std::vector<float>(2 * kDim, 0.03125f));
  // 10,000 steps multiply the weights by 0.37; every thousandth step is checked.
  for (int step = 1; step <= 10000; ++step) {
    head.Forward({});
    head.Update({}, {}, {}, 0.1f);
    if (step % 1000 != 0) continue;
    double mean = 0;
    for (const float w : head.Weights()) mean += w / (2.0 * kDim);
    const double expected = 0.03125 * std::pow(1.0 - 1e-4, step);
    EXPECT_NEAR(mean, expected, 0.01 * (0.03125 - expected)) << "step " << step;
  }
}

TEST(RoundingTest, RoundedToTheNearestTheSameUpdatesWouldVanish) {
  EXPECT_EQ(Widen(RoundToNearest(0.03125f * (1.0f - 1e-4f))), 0.03125f);
}

// Only the update, because U and H are float32 sums whose order depends on the blocks.
HeadState AfterUpdates(const HeadOptions& options, int64_t rows_of_block) {
  HeadOptions own = options;
  own.range = {17, 17 + 90};
  ClassStore store(own);
  EXPECT_TRUE(store.Allocate().ok());
  store.Fill(0, 90);
  const std::vector<float> h = RandomNormals(8, 90 * options.dim);
  std::vector<uint32_t> randoms(RandomsOfRow(options.dim));
  for (uint64_t step = 1; step <= 3; ++step) {
    const UpdateStep update = {MakeOptimizerStep(options, 0.1f), step, RoundingBits(options.seed)};
    for (int64_t row = 0; row < 90; row += rows_of_block) {
      const int64_t count = std::min(rows_of_block, 90 - row);
      UpdateBlock(update, {row, count}, h.data() + row * options.dim, randoms.data(), store);
    }
  }
  HeadState state;
  state.weights.resize(90 * options.dim);
  store.weights().Read(0, 90, state.weights.data());
  for (int i = 0; i < options.num_moments(); ++i) {
    store.moment(i).Read(0, 90, state.moments.emplace_back(90 * options.dim).data());
  }
  return state;
}

TEST(RoundingTest, TheSizeOfABlockChangesNoBit) {
  for (const bool adamw : {false, true}) {
    HeadOptions options = NarrowOptions(200, 37);
    if (adamw) options.optimizer = AdamWOptions();
    const HeadState state = AfterUpdates(options, 90);
    EXPECT_EQ(AfterUpdates(options, 1), state);
    EXPECT_EQ(AfterUpdates(options, 7), state);
    EXPECT_EQ(AfterUpdates(options, 64), state);
  }
}

TEST(RoundingTest, NumbersOfShardsAndThreadsChangeNoBit) {
  constexpr int64_t kClasses = 400, kDim = 21, kSamples = 9;
  HeadState first;
  for (const int shards : {1, 2, 3, 5}) {
    for (const int threads : {1, 3}) {
      HeadOptions options = NarrowOptions(kClasses, kDim);
      options.threads = threads;
      ShardedHead head(options, UnevenRanges(kClasses, shards));
      for (uint64_t step = 1; step <= 3; ++step) {
        const std::vector<LabelledGroup> groups = {{RandomBatch(step, kSamples, kDim, kClasses)}};
        head.Forward(groups);
        head.Update(groups, std::vector<float>(kSamples, 1e-25f), RandomNormals(step, kSamples), 0.1f);
      }
      if (first.weights.empty()) first = head.State();
      EXPECT_EQ(head.State(), first) << shards << " shards, " << threads << " threads";
    }
  }
}

TEST(RoundingTest, AnotherSeedRoundsOtherwise) {
  HeadOptions options = NarrowOptions(200, 37);
  HeadOptions other = options;
  other.seed = 4;
  ClassStore a(options), b(options);
  ASSERT_TRUE(a.Allocate().ok() && b.Allocate().ok());
  a.Fill(0, 200);
  b.Fill(0, 200);
  const std::vector<float> h = RandomNormals(8, 200 * 37);
  std::vector<uint32_t> randoms(RandomsOfRow(37));
  UpdateBlock({MakeOptimizerStep(options, 0.1f), 1, RoundingBits(options.seed)}, {0, 200}, h.data(), randoms.data(), a);
  UpdateBlock({MakeOptimizerStep(options, 0.1f), 1, RoundingBits(other.seed)}, {0, 200}, h.data(), randoms.data(), b);
  std::vector<float> wa(200 * 37), wb(200 * 37);
  a.weights().Read(0, 200, wa.data());
  b.weights().Read(0, 200, wb.data());
  EXPECT_NE(wa, wb);
}

void ExpectFreshInverseNorms(const ClassStore& store, int64_t dim) {
  const std::vector<float> kept(store.inverse_norms(), store.inverse_norms() + 7);
  store.RenewInverseNorms(0, 7);
  EXPECT_EQ(kept, std::vector<float>(store.inverse_norms(), store.inverse_norms() + 7)) << dim;
}

TEST(UpdateBlockTest, TheInverseNormsAreThoseOfTheWeightsAsHeldBitForBit) {
  for (const DataType weights : {DataType::kFloat32, kBf16}) {
    for (const int64_t dim : {1, 15, 16, 33, 512}) {
      HeadOptions options = NarrowOptions(7, dim);
      options.weights = weights;
      ClassStore store(options);
      ASSERT_TRUE(store.Allocate().ok());
      store.Fill(0, 7);
      std::vector<uint32_t> randoms(RandomsOfRow(dim));
      const std::vector<float> h = RandomNormals(2, 7 * dim);
      UpdateBlock({MakeOptimizerStep(options, 0.1f), 1, RoundingBits(1)}, {0, 7}, h.data(), randoms.data(), store);
      ExpectFreshInverseNorms(store, dim);
    }
  }
}

}  // namespace
}  // namespace arcshard::head
