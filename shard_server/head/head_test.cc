#include "shard_server/head/head.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shard_server/head/testing/sharded_head.h"
#include "shard_server/head/testing/test_device.h"

namespace arcshard::head {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kPlenty = int64_t{1} << 30;

HeadOptions SmallOptions() {
  HeadOptions options;
  options.num_classes = 100;
  options.range = {10, 60};
  options.dim = 8;
  options.device = TestDevice();
  options.threads = 2;
  return options;
}

std::unique_ptr<Head> MakeHead(const HeadOptions& options) {
  auto head = Head::Create(options, kPlenty);
  EXPECT_TRUE(head.ok()) << head.status();
  return *std::move(head);
}

std::vector<float> Weights(const Head& head) {
  const ClassRange range = head.options().range;
  std::vector<float> weights(range.size() * head.options().dim);
  EXPECT_TRUE(head.ReadWeights(range, {weights.data(), range.size(), head.options().dim}).ok());
  return weights;
}

// A micro-batch with memory for its results.
struct Exchange {
  LabelledBatch batch;
  std::vector<float> z, u, own, r, t;
  int64_t dim;

  Exchange(int64_t samples, int64_t dim_in, int64_t classes)
      : batch(RandomBatch(3, samples, dim_in, classes)),
        z(samples, -1.0f),
        u(samples * dim_in, -1.0f),
        own(samples * dim_in, -7.0f),
        r(samples, 1e-25f),
        t(samples, 0.5f),
        dim(dim_in) {}
  int64_t samples() const { return static_cast<int64_t>(batch.labels.size()); }
  ForwardInput Input() const { return {{batch.embedding.data(), samples(), dim}, batch.labels}; }
  ForwardOutput Output() { return {absl::MakeSpan(z), {u.data(), samples(), dim}, {own.data(), samples(), dim}}; }
  absl::Status Forward(Head& head) {
    head.Begin(1, batch.labels).IgnoreError();  // the step may have begun already
    const ForwardInput input = Input();
    const ForwardOutput output = Output();
    return head.Forward({&input, 1}, {&output, 1});
  }
  absl::Status Update(Head& head, float lr) {
    const Group group = {{Input(), r, t}};
    return head.Update({&group, 1}, lr);
  }
};

MATCHER_P2(Refuses, code, message, "") {
  return arg.code() == code && testing::Matches(HasSubstr(message))(arg.message());
}

TEST(HeadTest, OptionsOutOfRangeAreRefusedByName) {
  const auto refusal = [](auto change) {
    HeadOptions options = SmallOptions();
    change(options);
    return Head::Create(options, kPlenty).status();
  };
  const float nan = std::nanf("");
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(refusal([](HeadOptions& o) { o.num_classes = 0; }), Refuses(invalid, "num_classes is 0"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.range = {10, 101}; }), Refuses(invalid, "range is [10, 101)"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.range = {10, 9}; }), Refuses(invalid, "range is [10, 9)"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.range = {-1, 9}; }), Refuses(invalid, "range is [-1, 9)"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.dim = 0; }), Refuses(invalid, "dim is 0"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.scale = 80.5f; }), Refuses(invalid, "scale is 80.5"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.scale = 0.0f; }), Refuses(invalid, "scale is 0"));
  EXPECT_THAT(refusal([&](HeadOptions& o) { o.scale = nan; }), Refuses(invalid, "scale is nan"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.optimizer = SgdOptions{.momentum = -0.5f}; }),
              Refuses(invalid, "momentum is -0.5"));
  EXPECT_THAT(refusal([&](HeadOptions& o) { o.optimizer = SgdOptions{.weight_decay = nan}; }),
              Refuses(invalid, "weight_decay is nan"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.filter = 1.5f; }), Refuses(invalid, "filter is 1.5"));
  EXPECT_THAT(refusal([&](HeadOptions& o) { o.filter = nan; }), Refuses(invalid, "filter is nan"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.sample_rate = 0.0; }), Refuses(invalid, "sample_rate is 0"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.sample_rate = 1.01; }), Refuses(invalid, "sample_rate is 1.01"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.optimizer = AdamWOptions{.beta1 = 1.0}; }),
              Refuses(invalid, "beta1 is 1"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.optimizer = AdamWOptions{.beta2 = -0.1}; }),
              Refuses(invalid, "beta2 is -0.1"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.optimizer = AdamWOptions{.epsilon = 0.0f}; }),
              Refuses(invalid, "epsilon is 0"));
  EXPECT_THAT(refusal([&](HeadOptions& o) { o.optimizer = AdamWOptions{.weight_decay = nan}; }),
              Refuses(invalid, "weight_decay is nan"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.threads = 0; }), Refuses(invalid, "threads is 0"));
  EXPECT_THAT(refusal([](HeadOptions& o) { o.exp_budget_bytes = -1; }), Refuses(invalid, "exp_budget_bytes is -1"));
}

TEST(HeadTest, ARangeLargerThanTheCapacityIsRefusedWithTheFiguresBeforeAnythingIsAllocated) {
  HeadOptions options = SmallOptions();
  options.num_classes = int64_t{1} << 40;
  options.range = {0, options.num_classes};  // 8 PiB: an attempt to allocate it would fail with another message
  options.dim = 1024;
  options.exp_budget_bytes = 4096;
  const absl::Status status = Head::Create(options, int64_t{16} << 30).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("[0, 1099511627776)"), HasSubstr("9011597301252096 bytes"), HasSubstr("4096 bytes"),
                    HasSubstr("17179869184 bytes (16.000 GiB)")));
}

TEST(HeadTest, RequiredBytesIsWhatTheSmallestSufficientCapacityIs) {
  HeadOptions options = SmallOptions();
  options.dim = 512;
  EXPECT_EQ(Head::RequiredBytes(options), 50 * 4100);
  options.exp_budget_bytes = 1000;
  EXPECT_EQ(Head::RequiredBytes(options), 50 * 4100 + 1000);
  EXPECT_TRUE(Head::Create(options, 50 * 4100 + 1000).ok());
  EXPECT_EQ(Head::Create(options, 50 * 4100 + 999).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(HeadTest, AClassTakesTheBytesOfTheTypesThatHoldIt) {
  const auto per_class = [](DataType weights, DataType moments, bool adamw) {
    HeadOptions options = SmallOptions();
    options.dim = 512;
    options.weights = weights;
    options.moments = moments;
    if (adamw) options.optimizer = AdamWOptions();
    return Head::RequiredBytes(options) / options.range.size();
  };
  constexpr DataType kF32 = DataType::kFloat32, kBf16 = DataType::kBfloat16;
  EXPECT_EQ(per_class(kF32, kF32, false), 4100);
  EXPECT_EQ(per_class(kF32, kBf16, false), 3076);
  EXPECT_EQ(per_class(kBf16, kBf16, false), 2052);
  EXPECT_EQ(per_class(kF32, kF32, true), 3 * 2048 + 8);
  EXPECT_EQ(per_class(kBf16, kBf16, true), 3 * 1024 + 8);
}

TEST(HeadTest, FirstWeightsDependOnTheSeedButNotOnTheRanges) {
  HeadOptions options;
  options.num_classes = 200;
  options.dim = 10;
  options.seed = 5;
  const ShardedHead whole(options, UnevenRanges(200, 1));
  const ShardedHead cut(options, UnevenRanges(200, 3));
  options.seed = 6;
  const ShardedHead other(options, UnevenRanges(200, 1));
  EXPECT_EQ(whole.Weights(), cut.Weights());
  EXPECT_NE(whole.Weights(), other.Weights());
  EXPECT_EQ(whole.Momentum(), std::vector<float>(2000, 0.0f));
}

TEST(HeadTest, InputsOfWrongShapeOrLabelAreRefusedAndLeaveNothingPending) {
  const auto head = MakeHead(SmallOptions());
  const auto invalid = absl::StatusCode::kInvalidArgument;
  Exchange label(3, 8, 100), negative(3, 8, 100), wide(3, 9, 100), output(3, 8, 100);
  label.batch.labels[2] = 100;
  EXPECT_THAT(label.Forward(*head), Refuses(invalid, "sample 2 of micro-batch 0 of the group has label 100"));
  negative.batch.labels[0] = -1;
  EXPECT_THAT(negative.Forward(*head), Refuses(invalid, "has label -1"));
  EXPECT_THAT(wide.Forward(*head), Refuses(invalid, "embeddings of shape 3x9"));
  output.z.resize(2);
  EXPECT_THAT(output.Forward(*head), Refuses(invalid, "z of 2"));
  const Exchange alone(3, 8, 100);
  const ForwardInput input = alone.Input();
  EXPECT_THAT(head->Forward({&input, 1}, {}), Refuses(invalid, "1 micro-batches came with 0 outputs"));
  EXPECT_TRUE(head->Update({}, 0.1f).ok());  // nothing was forwarded
}

TEST(HeadTest, AStepIsBegunOnceAndBeforeItsPasses) {
  const auto head = MakeHead(SmallOptions());
  const auto precondition = absl::StatusCode::kFailedPrecondition;
  EXPECT_THAT(head->Begin(0, {}), Refuses(absl::StatusCode::kInvalidArgument, "numbered from 1"));
  EXPECT_THAT(head->Forward({}, {}), Refuses(precondition, "no step was begun"));
  EXPECT_THAT(head->Update({}, 0.1f), Refuses(precondition, "no step was begun"));
  ASSERT_TRUE(head->Begin(4, {}).ok());
  EXPECT_THAT(head->Begin(5, {}), Refuses(precondition, "step 4 is in hand"));
  head->Discard();
  EXPECT_TRUE(head->Begin(5, {}).ok());
}

TEST(HeadTest, ASampledStepTakesOnlyLabelsThatItWasBegunWith) {
  HeadOptions options = SmallOptions();
  options.sample_rate = 0.5;
  const auto head = MakeHead(options);
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(head->Begin(1, {4, 100}), Refuses(invalid, "begun with label 100, which is not in [0, 100)"));
  Exchange exchange(3, 8, 100);
  exchange.batch.labels = {20, 21, 4};
  ASSERT_TRUE(head->Begin(1, {20, 4, 4}).ok());
  EXPECT_THAT(exchange.Forward(*head),
              Refuses(invalid, "micro-batch 0 of the group has label 21, which was not among those that step 1"));
  exchange.batch.labels = {20, 20, 4};
  ASSERT_TRUE(exchange.Forward(*head).ok());
  exchange.batch.labels = {20, 20, 99};  // another shard's label, which Begin did not get either
  EXPECT_THAT(exchange.Update(*head, 0.1f), Refuses(invalid, "group 0: micro-batch 0 of the group has label 99"));
}

TEST(HeadTest, WithoutSamplingAnyLabelOfTheRunIsTakenWhateverTheStepWasBegunWith) {
  const auto head = MakeHead(SmallOptions());
  Exchange exchange(3, 8, 100);
  ASSERT_TRUE(head->Begin(1, {5}).ok());
  EXPECT_TRUE(exchange.Forward(*head).ok());
  EXPECT_TRUE(exchange.Update(*head, 0.1f).ok());
}

TEST(HeadTest, AMomentOrCountThatTheOptimizerDoesNotHaveIsRefused) {
  HeadOptions options = SmallOptions();
  std::vector<float> rows(2 * 8);
  std::vector<uint32_t> counts(2, 7);
  const auto invalid = absl::StatusCode::kInvalidArgument;
  const auto sgd = MakeHead(options);
  EXPECT_THAT(sgd->ReadMoment(1, {20, 22}, {rows.data(), 2, 8}), Refuses(invalid, "no moment 1: the optimizer has 1"));
  EXPECT_THAT(sgd->WriteMoment(-1, {20, 22}, MatrixView<float>{rows.data(), 2, 8}), Refuses(invalid, "no moment -1"));
  EXPECT_THAT(sgd->ReadCounts({20, 22}, absl::MakeSpan(counts)),
              Refuses(absl::StatusCode::kFailedPrecondition, "SGD counts no steps"));
  options.optimizer = AdamWOptions();
  const auto adamw = MakeHead(options);
  EXPECT_THAT(adamw->WriteCounts({20, 23}, counts), Refuses(invalid, "have 3 step counts, but 2 were given"));
  EXPECT_THAT(adamw->WriteCounts({59, 61}, counts), Refuses(invalid, "rows [59, 61) are not inside"));
  ASSERT_TRUE(adamw->WriteCounts({20, 22}, counts).ok());
  counts = {0, 0};
  ASSERT_TRUE(adamw->ReadCounts({21, 23}, absl::MakeSpan(counts)).ok());
  EXPECT_THAT(counts, testing::ElementsAre(7, 0));
}

TEST(HeadTest, AnUpdateThatDoesNotMatchItsForwardsIsRefusedAndChangesNothing) {
  const auto head = MakeHead(SmallOptions());
  const auto invalid = absl::StatusCode::kInvalidArgument;
  Exchange exchange(3, 8, 100);
  ASSERT_TRUE(exchange.Forward(*head).ok());
  const std::vector<float> before = Weights(*head);
  EXPECT_THAT(head->Update({}, 0.1f), Refuses(invalid, "0 groups, but Forward took 1"));
  EXPECT_THAT(Exchange(2, 8, 100).Update(*head, 0.1f), Refuses(invalid, "has 2 samples, but Forward took 3"));
  EXPECT_THAT(exchange.Update(*head, std::nanf("")), Refuses(invalid, "learning rate is nan"));
  Exchange short_r = exchange;
  short_r.r.resize(2);
  EXPECT_THAT(short_r.Update(*head, 0.1f),
              Refuses(invalid, "group 0: micro-batch 0 of the group has 3 samples, but 2"));
  EXPECT_EQ(Weights(*head), before);
  EXPECT_TRUE(exchange.Update(*head, 0.1f).ok());
  EXPECT_NE(Weights(*head), before);
}

TEST(HeadTest, AnEmptyRangeAnswersWithZerosAndUpdatesNothing) {
  HeadOptions options = SmallOptions();
  options.range = {40, 40};
  const auto head = MakeHead(options);
  Exchange exchange(3, 8, 100);
  ASSERT_TRUE(exchange.Forward(*head).ok());
  EXPECT_EQ(exchange.z, std::vector<float>(3, 0.0f));
  EXPECT_EQ(exchange.u, std::vector<float>(24, 0.0f));
  EXPECT_EQ(exchange.own, std::vector<float>(24, -7.0f)) << "rows of others' labels stay untouched";
  EXPECT_TRUE(exchange.Update(*head, 0.1f).ok());
}

TEST(HeadTest, OnlyTheShardThatOwnsALabelWritesItsCenter) {
  const auto head = MakeHead(SmallOptions());
  Exchange exchange(3, 8, 100);
  exchange.batch.labels = {9, 10, 60};
  ASSERT_TRUE(exchange.Forward(*head).ok());
  const std::vector<double> unit = Unit(Weights(*head).data(), 8);
  for (int64_t d = 0; d < 8; ++d) {
    EXPECT_EQ(exchange.own[d], -7.0f);
    EXPECT_NEAR(exchange.own[8 + d], unit[d], 1e-6);
    EXPECT_EQ(exchange.own[16 + d], -7.0f);
  }
}

TEST(HeadTest, DiscardLeavesEveryBitAndTheNextStepIsAsIfNothingHadBeenForwarded) {
  HeadOptions options = SmallOptions();
  options.exp_budget_bytes = 1 << 16;
  const auto skipping = MakeHead(options), straight = MakeHead(options);
  Exchange skipped(5, 8, 100), step(7, 8, 100);
  const std::vector<float> before = Weights(*skipping);
  ASSERT_TRUE(skipped.Forward(*skipping).ok());
  skipping->Discard();
  EXPECT_EQ(Weights(*skipping), before);
  for (Head* head : {skipping.get(), straight.get()}) {
    ASSERT_TRUE(step.Forward(*head).ok());
    ASSERT_TRUE(step.Update(*head, 0.1f).ok());
  }
  EXPECT_EQ(Weights(*skipping), Weights(*straight));
}

TEST(HeadTest, ANonFiniteEmbeddingSpoilsItsOwnSampleOnly) {
  const auto head = MakeHead(SmallOptions());
  Exchange good(4, 8, 100), bad = good;
  bad.batch.embedding[1 * 8 + 3] = std::nanf("");
  bad.batch.embedding[2 * 8 + 5] = std::numeric_limits<float>::infinity();
  ASSERT_TRUE(good.Forward(*head).ok());
  ASSERT_TRUE(bad.Forward(*head).ok());
  head->Discard();
  EXPECT_EQ(bad.z[0], good.z[0]);
  EXPECT_FALSE(std::isfinite(bad.z[1]));
  EXPECT_FALSE(std::isfinite(bad.z[2]));
  EXPECT_EQ(bad.z[3], good.z[3]);
  EXPECT_TRUE(std::equal(bad.u.begin(), bad.u.begin() + 8, good.u.begin()));
  EXPECT_TRUE(std::equal(bad.u.begin() + 24, bad.u.end(), good.u.begin() + 24));
}

TEST(HeadTest, TheSameStepsTwiceGiveTheSameBits) {
  HeadOptions options = SmallOptions();
  options.num_classes = options.range.end = 5000;
  options.threads = 3;
  const auto first = MakeHead(options), second = MakeHead(options);
  Exchange a(20, 8, 5000), b(20, 8, 5000);
  for (int step = 0; step < 3; ++step) {
    ASSERT_TRUE(a.Forward(*first).ok() && b.Forward(*second).ok());
    EXPECT_EQ(a.u, b.u);
    ASSERT_TRUE(a.Update(*first, 0.1f).ok() && b.Update(*second, 0.1f).ok());
  }
  EXPECT_EQ(Weights(*first), Weights(*second));
}

TEST(HeadTest, AHeadThatTookOverWeightsAndMomentumGoesOnWithTheSameBits) {
  HeadOptions options = SmallOptions();
  const auto first = MakeHead(options);
  options.seed = 2;
  const auto second = MakeHead(options);
  Exchange exchange(20, 8, 100);
  ASSERT_TRUE(exchange.Forward(*first).ok() && exchange.Update(*first, 0.1f).ok());
  std::vector<float> weights(50 * 8), momentum(50 * 8);
  // In pieces, as a range is copied over a network.
  for (const ClassRange piece : {ClassRange{10, 27}, ClassRange{27, 60}}) {
    MatrixView<float> w{weights.data() + (piece.begin - 10) * 8, piece.size(), 8};
    MatrixView<float> v{momentum.data() + (piece.begin - 10) * 8, piece.size(), 8};
    ASSERT_TRUE(first->ReadWeights(piece, w).ok() && first->ReadMoment(0, piece, v).ok());
    ASSERT_TRUE(second->WriteWeights(piece, w).ok() && second->WriteMoment(0, piece, v).ok());
  }
  for (Head* head : {first.get(), second.get()}) {
    ASSERT_TRUE(exchange.Forward(*head).ok() && exchange.Update(*head, 0.1f).ok());
  }
  EXPECT_EQ(Weights(*first), Weights(*second));
}

TEST(HeadTest, RowsOutsideTheRangeOrOfWrongShapeAndWritesWithinAStepAreRefused) {
  const auto head = MakeHead(SmallOptions());
  std::vector<float> rows(5 * 8);
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(head->ReadWeights({58, 63}, {rows.data(), 5, 8}), Refuses(invalid, "rows [58, 63) are not inside"));
  EXPECT_THAT(head->WriteMoment(0, {9, 14}, MatrixView<float>{rows.data(), 5, 8}), Refuses(invalid, "rows [9, 14)"));
  EXPECT_THAT(head->ReadMoment(0, {20, 24}, {rows.data(), 5, 8}), Refuses(invalid, "have the shape 4x8"));
  Exchange exchange(3, 8, 100);
  ASSERT_TRUE(exchange.Forward(*head).ok());
  EXPECT_THAT(head->WriteWeights({20, 25}, MatrixView<float>{rows.data(), 5, 8}),
              Refuses(absl::StatusCode::kFailedPrecondition, "while a step is in hand"));
}

}  // namespace
}  // namespace arcshard::head
