#include "worker/loss/margin_loss.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "ATen/TensorOperators.h"
#include "ATen/core/Tensor.h"
#include "ATen/ops/cat.h"
#include "ATen/ops/equal.h"
#include "ATen/ops/full.h"
#include "ATen/ops/ones.h"
#include "ATen/ops/std.h"
#include "ATen/ops/tensor.h"
#include "common/io/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::worker {
namespace {

using testing::HasSubstr;

RunConfig::Loss Config(const std::string& margin, double m) {
  RunConfig::Loss config;
  config.margin = margin;
  config.m = m;
  return config;
}

std::unique_ptr<MarginLoss> Make(const RunConfig::Loss& config, double scale = 32.0, uint64_t seed = 1) {
  auto loss = MarginLoss::Create(config, scale, seed, /*num_classes=*/3);
  EXPECT_TRUE(loss.ok()) << loss.status();
  return *std::move(loss);
}

void ExpectRefused(const RunConfig::Loss& config, double scale, const std::string& reason) {
  const auto loss = MarginLoss::Create(config, scale, 1, 3);
  EXPECT_EQ(loss.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(loss.status().message()), HasSubstr(reason));
}

at::Tensor Doubles(const std::vector<double>& values) { return at::tensor(values); }

// ℓ of one sample at the angle theta, with lse = 0.
double LossAt(double theta, const RunConfig::Loss& config) {
  return Make(config)
      ->SampleLoss(Doubles({std::cos(theta)}), Doubles({0.0}), Doubles({20.0}), {.step = 1, .global_batch = 1})
      .item<double>();
}

double Softplus(double x) { return std::log1p(std::exp(x)); }

TEST(MarginLoss, NamesStandForTheirMarginsOfTheCombinedOne) {
  EXPECT_NEAR(LossAt(1.5, Config("arcface", 0.3)), Softplus(-32 * std::cos(1.8)), 1e-9);
  EXPECT_NEAR(LossAt(1.5, Config("cosface", 0.3)), Softplus(-32 * (std::cos(1.5) - 0.3)), 1e-9);
  EXPECT_NEAR(LossAt(1.5, Config("sphereface", 1.3)), Softplus(-32 * std::cos(1.3 * 1.5)), 1e-9);
  EXPECT_NEAR(LossAt(1.5, Config("softmax", 0.3)), Softplus(-32 * std::cos(1.5)), 1e-9);
  RunConfig::Loss combined = Config("combined", 9.0);
  combined.m1 = 1.1;
  combined.m2 = 0.2;
  combined.m3 = 0.1;
  EXPECT_NEAR(LossAt(1.5, combined), Softplus(-32 * (std::cos(1.1 * 1.5 + 0.2) - 0.1)), 1e-9);
}

TEST(MarginLoss, Create_RefusesWhatIsOutOfRangeByName) {
  ExpectRefused(Config("arcfase", 0.5), 64, "loss.margin \"arcfase\" is none of arcface, cosface");
  ExpectRefused(Config("arcface", 0.5), 80.5, "head.scale must lie in (0, 80]");
  ExpectRefused(Config("arcface", 0.5), std::nan(""), "head.scale");
  ExpectRefused(Config("arcface", std::nan("")), 64, "m2");
  ExpectRefused(Config("sphereface", 0), 64, "m1");
  RunConfig::Loss config = Config("arcface", 0.5);
  config.gradient = "exakt";
  ExpectRefused(config, 64, "loss.gradient \"exakt\"");
  config = Config("elastic", 0.5);
  config.elastic_std = -1;
  ExpectRefused(config, 64, "loss.elastic_std must be at least 0, not -1");
  config = Config("adaface", 0.4);
  config.adaface_t_alpha = 1.5;
  ExpectRefused(config, 64, "loss.adaface_t_alpha");
  config = Config("magface", 0);
  config.magface_high = 5;
  ExpectRefused(config, 64, "loss.magface_high must be above loss.magface_low, 10, not 5");
}

TEST(MarginLoss, Create_MonotonicWithAMultipliedAngle_IsRefusedWithTheReason) {
  RunConfig::Loss config = Config("sphereface", 1.35);
  config.monotonic = true;
  ExpectRefused(config, 64, "loss.monotonic continues cos(theta + m2) past pi");
  config.margin = "arcface";
  EXPECT_TRUE(MarginLoss::Create(config, 64, 1, 3).ok());
}

TEST(MarginLoss, ClassAndSampleWeightsMultiplyTheLossOfTheirSamples) {
  const std::string path = testing::TempDir() + "/class_weights.safetensors";
  const std::vector<float> weights = {0.5f, 2.0f, 0.0f};
  ASSERT_TRUE(WriteSafetensors(path, {TensorView::Of<float>("weights", {3}, weights)}).ok());
  RunConfig::Loss config = Config("arcface", 0.5);
  config.class_weights = path;
  const auto loss = Make(config);

  LossContext context{.step = 1, .global_batch = 8};
  const at::Tensor labels = at::tensor(std::vector<int64_t>{1, 2, 0, 1});
  const at::Tensor each = Doubles({1, 10, 100, 1000});
  EXPECT_DOUBLE_EQ(loss->Total(each, each, labels, context).item<double>(), (2 + 0 + 50 + 2000) / 8.0);
  context.sample_weights = at::tensor(std::vector<float>{1, 1, 2, 0});
  EXPECT_DOUBLE_EQ(loss->Total(each, each, labels, context).item<double>(), (2 + 0 + 100 + 0) / 8.0);
}

TEST(MarginLoss, Create_ClassWeightsThatDoNotFitTheClasses_AreRefusedByFile) {
  const std::string path = testing::TempDir() + "/unfit_weights.safetensors";
  RunConfig::Loss config = Config("arcface", 0.5);
  config.class_weights = path;
  ASSERT_TRUE(WriteSafetensors(path, {TensorView::Of<float>("weights", {2}, std::vector<float>{1, 1})}).ok());
  ExpectRefused(config, 64, "unfit_weights.safetensors: \"weights\" has 2 values, but there are 3 classes");
  ASSERT_TRUE(WriteSafetensors(path, {TensorView::Of<float>("weights", {3}, std::vector<float>{1, -1, 1})}).ok());
  ExpectRefused(config, 64, "the weight of class 1 is -1");
  config.class_weights = path + ".none";
  EXPECT_EQ(MarginLoss::Create(config, 64, 1, 3).status().code(), absl::StatusCode::kNotFound);
}

// Elastic's m2 of samples [first, first + count).
at::Tensor Drawn(uint64_t seed, uint64_t step, int64_t first, int64_t count) {
  return ElasticMargins(0.5, 0.0125, seed)
      ->MarginsOf(at::ones({count}, at::kDouble), {.step = step, .global_batch = 1 << 20, .first_sample = first})
      .m2;
}

TEST(ElasticMargins, ADrawDependsOnSeedStepAndSampleAndNotOnTheMicroBatch) {
  const at::Tensor whole = Drawn(7, 3, 0, 12);
  EXPECT_TRUE(at::equal(whole, at::cat({Drawn(7, 3, 0, 5), Drawn(7, 3, 5, 7)})));
  EXPECT_FALSE(at::equal(whole, Drawn(7, 4, 0, 12)));
  EXPECT_FALSE(at::equal(whole, Drawn(8, 3, 0, 12)));
}

TEST(ElasticMargins, DrawsAreNormal) {
  const at::Tensor m2 = Drawn(7, 1, 0, 100000);
  EXPECT_NEAR(m2.mean().item<double>(), 0.5, 4 * 0.0125 / std::sqrt(1e5));
  EXPECT_NEAR(at::std(m2).item<double>(), 0.0125, 0.0125 * 0.01);
  const auto share_within = [&](double deviations) {
    return ((m2 - 0.5).abs() < deviations * 0.0125).to(at::kDouble).mean().item<double>();
  };
  EXPECT_NEAR(share_within(1), 0.6827, 0.006);
  EXPECT_NEAR(share_within(2), 0.9545, 0.003);
}

TEST(AdaFaceMargins, FollowTheNormAgainstTheAverages) {
  const auto margins = AdaFaceMargins(/*m=*/0.4, /*h=*/0.333, /*alpha=*/0.25);
  const at::Tensor norm = Doubles({10, 40, 1e-9, 5000});
  const Margins got = margins->MarginsOf(norm, {.step = 1, .global_batch = 4});
  // Computed by hand; norms are clipped to [0.001, 100].
  const double mean = (10 + 40 + 0.001 + 100) / 4;
  double squares = 0;
  for (const double x : {10.0, 40.0, 0.001, 100.0}) squares += (x - mean) * (x - mean);
  const double used_mean = 0.75 * 20 + 0.25 * mean, used_std = 0.75 * 100 + 0.25 * std::sqrt(squares / 3);
  for (int i = 0; i < 4; ++i) {
    const double quality = 0.333 * (std::vector<double>{10, 40, 0.001, 100}[i] - used_mean) / (used_std + 1e-3);
    EXPECT_NEAR(got.m2[i].item<double>(), -0.4 * quality, 1e-9);
    EXPECT_NEAR(got.m3[i].item<double>(), 0.4 + 0.4 * quality, 1e-9);
  }
}

TEST(AdaFaceMargins, AveragesChangeAtCommitOnlyAndByTheSharesOfTheMicroBatches) {
  const auto margins = AdaFaceMargins(0.4, 0.333, 0.5);
  RunningStatistics statistics;
  margins->RegisterAverages(statistics);
  const LossContext context{.step = 1, .global_batch = 5};
  margins->MarginsOf(Doubles({10, 20, 30}), context);  // mean 20, standard deviation 10
  margins->MarginsOf(Doubles({50, 52}), context);      // mean 51, standard deviation sqrt(2)
  EXPECT_TRUE(at::equal(margins->averages(), at::tensor({20.0f, 100.0f})));

  statistics.Commit(statistics.pending());
  EXPECT_NEAR(margins->averages()[0].item<float>(), 0.5 * 20 + 0.5 * (0.6 * 20 + 0.4 * 51), 1e-4);
  EXPECT_NEAR(margins->averages()[1].item<float>(), 0.5 * 100 + 0.5 * (0.6 * 10 + 0.4 * std::numbers::sqrt2), 1e-4);
}

TEST(AdaFaceMargins, ASkippedStepLeavesTheAverages) {
  const auto margins = AdaFaceMargins(0.4, 0.333, 0.5);
  RunningStatistics statistics;
  margins->RegisterAverages(statistics);
  margins->MarginsOf(Doubles({std::nan(""), 20, 30}), {.step = 1, .global_batch = 3});
  statistics.Discard();
  margins->MarginsOf(Doubles({20, 20}), {.step = 2, .global_batch = 2});
  statistics.Commit(statistics.pending());
  EXPECT_TRUE(at::equal(margins->averages(), at::tensor({20.0f, 50.0f})));
}

TEST(AdaFaceMargins, ASingleSampleLeavesTheStandardDeviation) {
  const auto margins = AdaFaceMargins(0.4, 0.333, 0.5);
  RunningStatistics statistics;
  margins->RegisterAverages(statistics);
  margins->MarginsOf(Doubles({40}), {.step = 1, .global_batch = 1});
  statistics.Commit(statistics.pending());
  EXPECT_TRUE(at::equal(margins->averages(), at::tensor({30.0f, 100.0f})));
}

TEST(TargetLogit, OppositeToItsCenterASampleStillHasASlope) {
  const at::Tensor cosine = Doubles({-1.0, 1.0, -1.0 - 1e-12}).requires_grad_();
  const at::Tensor zero = at::full({3}, 0.0, at::kDouble);
  TargetLogit(cosine, {zero + 1, zero + 0.5, zero}, {.scale = 64}).sum().backward();
  const double sine = std::sqrt(1 - (1 - 1e-7) * (1 - 1e-7));
  const double theta = std::acos(1 - 1e-7);
  EXPECT_NEAR(cosine.grad()[0].item<double>(), 64 * std::sin(std::numbers::pi - theta + 0.5) / sine, 1e-2);
  EXPECT_NEAR(cosine.grad()[1].item<double>(), 64 * std::sin(theta + 0.5) / sine, 1e-2);
  EXPECT_EQ(cosine.grad()[2].item<double>(), cosine.grad()[0].item<double>());
}

TEST(TargetLogit, StraightThroughKeepsTheValueAndHasSlopeS) {
  const at::Tensor cosine = Doubles({-0.9, 0.1, 0.8}).requires_grad_();
  const at::Tensor zero = at::full({3}, 0.0, at::kDouble);
  const Margins margins{zero + 1, zero + 0.5, zero};
  const at::Tensor logit = TargetLogit(cosine, margins, {.scale = 64, .straight_through = true});
  EXPECT_TRUE(at::equal(logit, TargetLogit(cosine, margins, {.scale = 64})));
  logit.sum().backward();
  EXPECT_TRUE(at::equal(cosine.grad(), zero + 64));
}

}  // namespace
}  // namespace arcshard::worker
