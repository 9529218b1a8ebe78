// The sharded, blocked head in float32 against the plain, unsharded formula in float64, over random shapes.

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "shard_server/head/testing/dense_head.h"

namespace arcshard::head {
namespace {

constexpr double kTolerance = 5e-5;

struct Shape {
  int64_t classes, dim, samples;
  int micro_batches, shards, threads;
};

HeadOptions OptionsOf(const Shape& shape) {
  HeadOptions options;
  options.num_classes = shape.classes;
  options.dim = shape.dim;
  options.scale = 32.0f;
  options.threads = shape.threads;
  return options;
}

std::vector<LabelledBatch> MicroBatches(uint64_t seed, const Shape& shape) {
  std::vector<LabelledBatch> batches;
  for (int m = 0; m < shape.micro_batches; ++m) {
    batches.push_back(RandomBatch(seed * 100 + m, shape.samples, shape.dim, shape.classes));
  }
  return batches;
}

// Values like those of a worker's loss: α is about 1/B.
std::vector<float> R(const SummedOutputs& sums, float scale) {
  std::vector<float> r;
  for (const double z : sums.z)
    r.push_back(static_cast<float>(z == 0 ? 0.0 : scale / z / static_cast<double>(sums.z.size())));
  return r;
}

void ExpectAgreement(ShardedHead& head, const DenseHead& dense, const SummedOutputs& sums,
                     const SummedOutputs& expected) {
  EXPECT_LE(RelativeDifference(sums.z, expected.z), kTolerance) << "z";
  EXPECT_LE(RelativeDifference(sums.u, expected.u), kTolerance) << "U";
  EXPECT_LE(RelativeDifference(Widened(sums.own_centers), Widened(expected.own_centers)), kTolerance) << "own centers";
  EXPECT_LE(RelativeDifference(Widened(head.Momentum()), dense.momentum()), kTolerance) << "V";
  EXPECT_LE(RelativeDifference(Widened(head.Weights()), dense.weights()), kTolerance) << "W";
}

class DenseTest : public testing::TestWithParam<Shape> {};

TEST_P(DenseTest, ThreeStepsAgreeWithTheUnshardedFormulaAndTheBudgetChangesNoBit) {
  const Shape shape = GetParam();
  HeadOptions options = OptionsOf(shape);
  const auto ranges = UnevenRanges(shape.classes, shape.shards);
  ShardedHead head(options, ranges);
  options.exp_budget_bytes = 100 << 10;  // not enough for all exponentials of some shapes
  ShardedHead keeping_some(options, ranges);
  options.exp_budget_bytes = 64 << 20;
  ShardedHead keeping_all(options, ranges);
  DenseHead dense(options, head.Weights());
  for (uint64_t step = 1; step <= 3; ++step) {
    SCOPED_TRACE(absl::StrCat("step ", step));
    const std::vector<LabelledGroup> groups = {MicroBatches(step, shape)};
    const LabelledBatch batch = Joined(groups);
    const SummedOutputs sums = head.Forward(groups);
    EXPECT_EQ(keeping_some.Forward(groups), sums);
    EXPECT_EQ(keeping_all.Forward(groups), sums);
    const std::vector<float> r = R(sums, options.scale);
    std::vector<float> t = RandomNormals(step, static_cast<int64_t>(r.size()));
    const SummedOutputs expected = dense.Forward(batch);
    head.Update(groups, r, t, 0.05f);
    keeping_some.Update(groups, r, t, 0.05f);
    keeping_all.Update(groups, r, t, 0.05f);
    dense.Update(batch, r, t, 0.05f);
    ExpectAgreement(head, dense, sums, expected);
    EXPECT_EQ(keeping_some.Weights(), head.Weights());
    EXPECT_EQ(keeping_all.Weights(), head.Weights());
    EXPECT_EQ(keeping_all.Momentum(), head.Momentum());
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, DenseTest,
                         testing::Values(Shape{1000, 33, 20, 2, 1, 1}, Shape{2003, 24, 5, 1, 3, 2},
                                         Shape{20, 8, 50, 3, 2, 3},  // more samples than classes
                                         Shape{3, 5, 7, 1, 5, 2},    // more shards than classes
                                         Shape{700, 512, 16, 2, 2, 2}, Shape{1, 3, 4, 1, 1, 2},
                                         Shape{2, 2, 3, 2, 1, 1}),
                         [](const auto& shape) {
                           return absl::StrCat("Classes", shape.param.classes, "Dim", shape.param.dim, "Shards",
                                               shape.param.shards);
                         });

TEST(DenseTest, SeveralGroupsAgreeWithOneGroupAndKeptExponentialsOfAllOfThemGiveTheSameBits) {
  const Shape shape = {1500, 40, 9, 4, 2, 2};
  HeadOptions options = OptionsOf(shape);
  const auto ranges = UnevenRanges(shape.classes, shape.shards);
  const std::vector<LabelledBatch> batches = MicroBatches(1, shape);
  const std::vector<LabelledGroup> one = {batches};
  const std::vector<LabelledGroup> several = {{batches[0]}, {batches[1], batches[2]}, {}, {batches[3]}};
  const std::vector<float> t = RandomNormals(5, 36);
  std::vector<double> expected_weights, expected_momentum;
  {
    ShardedHead head(options, ranges);
    const SummedOutputs sums = head.Forward(one);
    head.Update(one, R(sums, options.scale), t, 0.1f);
    expected_weights = Widened(head.Weights());
    expected_momentum = Widened(head.Momentum());
  }
  std::vector<float> first_weights;
  for (const int64_t budget : {0, 150000, 1 << 24}) {
    options.exp_budget_bytes = budget;
    ShardedHead head(options, ranges);
    const SummedOutputs sums = head.Forward(several);
    head.Update(several, R(sums, options.scale), t, 0.1f);
    EXPECT_LE(RelativeDifference(Widened(head.Weights()), expected_weights), 1e-6);
    EXPECT_LE(RelativeDifference(Widened(head.Momentum()), expected_momentum), 1e-5);
    if (first_weights.empty()) first_weights = head.Weights();
    EXPECT_EQ(head.Weights(), first_weights) << "budget of " << budget;
  }
}

TEST(DenseTest, VectorsOfZerosHaveNoGradientAndLeaveTheOthersRight) {
  const Shape shape = {50, 12, 10, 1, 2, 2};
  const HeadOptions options = OptionsOf(shape);
  ShardedHead head(options, UnevenRanges(shape.classes, shape.shards));
  std::vector<float> weights = head.Weights();
  std::fill_n(weights.begin() + 3 * shape.dim, shape.dim, 0.0f);     // a class center
  std::fill_n(weights.begin() + 40 * shape.dim, shape.dim, 1e-14f);  // a norm below 1e-12 counts as 0
  head.SetWeights(weights);
  DenseHead dense(options, weights);
  LabelledBatch batch = RandomBatch(1, shape.samples, shape.dim, shape.classes);
  std::fill_n(batch.embedding.begin(), shape.dim, 0.0f);
  batch.labels[0] = 7;
  batch.labels[1] = 3;
  batch.labels[2] = 40;
  const std::vector<LabelledGroup> groups = {{batch}};
  const SummedOutputs sums = head.Forward(groups), expected = dense.Forward(batch);
  const std::vector<float> r = R(sums, options.scale), t = RandomNormals(9, shape.samples);
  head.Update(groups, r, t, 0.1f);
  dense.Update(batch, r, t, 0.1f);
  ExpectAgreement(head, dense, sums, expected);
  const std::vector<float> after = head.Weights();
  for (int64_t d = 0; d < shape.dim; ++d) EXPECT_EQ(after[3 * shape.dim + d], 0.0f);
}

}  // namespace
}  // namespace arcshard::head
