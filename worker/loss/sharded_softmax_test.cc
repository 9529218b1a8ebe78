#include "worker/loss/sharded_softmax.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ATen/core/grad_mode.h"
#include "ATen/ops/equal.h"
#include "ATen/ops/isfinite.h"
#include "ATen/ops/tensor.h"
#include "ATen/ops/zeros.h"
#include "gtest/gtest.h"
#include "worker/loss/testing/dense_statistics.h"

namespace arcshard::worker {
namespace {

constexpr int64_t kDim = 8;

at::Tensor Normals(int64_t rows, int64_t cols, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  std::vector<double> values(static_cast<size_t>(rows * cols));
  for (double& value : values) value = normal(engine);
  return at::tensor(values).view({rows, cols});
}

at::Tensor Labels(const std::vector<int64_t>& labels) { return at::tensor(labels); }

std::unique_ptr<MarginLoss> Make(const std::string& margin, double m, double scale, int64_t classes) {
  RunConfig::Loss config;
  config.margin = margin;
  config.m = m;
  config.magface_low = 2.0;
  config.magface_high = 12.0;
  auto loss = MarginLoss::Create(config, scale, 1, classes);
  EXPECT_TRUE(loss.ok()) << loss.status();
  return *std::move(loss);
}

LossResult Compute(const at::Tensor& e, const at::Tensor& labels, const at::Tensor& centers, MarginLoss& loss) {
  const SoftmaxStatistics statistics =
      DenseStatistics(e.to(at::kDouble), labels, centers, loss.scale(), e.scalar_type());
  return ComputeLoss(e, labels, statistics, LogitShift(loss.scale(), centers.size(0)), loss,
                     {.step = 1, .global_batch = e.size(0)});
}

// The directional derivative by central differences, in float64.
double Difference(const std::string& margin, const at::Tensor& e, const at::Tensor& labels, const at::Tensor& centers,
                  const at::Tensor& direction) {
  constexpr double kStep = 1e-5;
  const auto loss_at = [&](double h) {
    const auto loss = Make(margin, 0.4, 16, centers.size(0));
    return Compute(e + h * direction, labels, centers, *loss).loss;
  };
  return (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
}

class Gradient : public testing::TestWithParam<const char*> {};

TEST_P(Gradient, IsWhatDifferencesOfTheLossShow) {
  const at::Tensor centers = Normals(11, kDim, 1);
  const at::Tensor labels = Labels({3, 0, 10, 3, 7, 5});
  const at::Tensor e = Normals(6, kDim, 2) * at::tensor(std::vector<double>{0.5, 1, 2, 3, 4, 6}).unsqueeze(1);
  const auto loss = Make(GetParam(), 0.4, 16, centers.size(0));
  const at::Tensor gradient = Compute(e, labels, centers, *loss).d_embedding;
  for (uint32_t seed = 10; seed < 20; ++seed) {
    at::Tensor direction = Normals(6, kDim, seed);
    if (std::string(GetParam()) == "adaface") {  // its margins treat the norm as a constant, so move on the sphere
      const at::Tensor unit = UnitRows(e);
      direction = direction - (direction * unit).sum(1, true) * unit;
    }
    const double expected = Difference(GetParam(), e, labels, centers, direction);
    EXPECT_NEAR((gradient * direction).sum().item<double>(), expected, 1e-6 * std::max(1.0, std::abs(expected)));
  }
}

INSTANTIATE_TEST_SUITE_P(Of, Gradient,
                         testing::Values("arcface", "cosface", "sphereface", "softmax", "elastic", "adaface",
                                         "magface"),
                         [](const auto& each) { return std::string(each.param); });

TEST(ComputeLoss, FirstStepsLossIsLnNPlusMarginPlusHalfVariance) {
  const int64_t classes = 10000, dim = 512, batch = 64;
  const double scale = 64, m = 0.4;
  const at::Tensor centers = 0.01 * Normals(classes, dim, 1);
  const at::Tensor e = Normals(batch, dim, 2).to(at::kFloat);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < batch; ++i) labels.push_back(i * 151);
  const auto loss = Make("cosface", m, scale, classes);
  const double expected = std::log(classes) + scale * m + scale * scale / (2.0 * dim);
  EXPECT_NEAR(Compute(e, Labels(labels), centers, *loss).loss, expected, 0.02 * expected);
}

TEST(ComputeLoss, WithoutAnyNegativeLossAndGradientsAreZero) {
  const auto loss = Make("arcface", 0.5, 64, 1);
  const LossResult result = Compute(Normals(3, kDim, 1).to(at::kFloat), Labels({0, 0, 0}), Normals(1, kDim, 2), *loss);
  EXPECT_TRUE(result.finite);
  EXPECT_EQ(result.loss, 0.0);
  for (const at::Tensor& x : {result.sample_loss, result.alpha, result.r, result.t}) {
    EXPECT_TRUE(at::equal(x.abs(), at::zeros({3})));
  }
  EXPECT_TRUE(at::equal(result.d_embedding.abs(), at::zeros({3, kDim})));
  EXPECT_EQ(result.lse[0].item<float>(), -std::numeric_limits<float>::infinity());
}

TEST(ComputeLoss, AnEmbeddingOfZeroHasGradientZero) {
  at::Tensor e = Normals(3, kDim, 1).to(at::kFloat);
  e[1].zero_();
  e[2].mul_(1e-20);
  for (const char* margin : {"arcface", "adaface", "magface"}) {
    const auto loss = Make(margin, 0.5, 64, 5);
    const LossResult result = Compute(e, Labels({0, 1, 2}), Normals(5, kDim, 2), *loss);
    EXPECT_TRUE(result.finite) << margin;
    EXPECT_TRUE(at::equal(result.d_embedding[1].abs(), at::zeros({kDim}))) << margin;
    EXPECT_TRUE(at::equal(result.d_embedding[2].abs(), at::zeros({kDim}))) << margin;
    EXPECT_GT(result.d_embedding[0].abs().max().item<float>(), 0.0f) << margin;
  }
}

TEST(ComputeLoss, ValuesThatAreNotFiniteAreReportedWhereverTheyEnter) {
  const at::Tensor centers = Normals(5, kDim, 2), labels = Labels({0, 1, 2});
  const at::Tensor e = Normals(3, kDim, 1).to(at::kFloat);
  const auto finite_with = [&](const at::Tensor& embedding, const SoftmaxStatistics& statistics) {
    const auto loss = Make("arcface", 0.5, 64, 5);
    return ComputeLoss(embedding, labels, statistics, LogitShift(64, 5), *loss, {.step = 1, .global_batch = 3}).finite;
  };
  const SoftmaxStatistics good = DenseStatistics(e.to(at::kDouble), labels, centers, 64);
  EXPECT_TRUE(finite_with(e, good));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    at::Tensor embedding = e.clone();
    embedding[1][2].fill_(bad);
    EXPECT_FALSE(finite_with(embedding, good));
    SoftmaxStatistics z = good, u = good, own = good;
    z.z = z.z.clone();
    z.z[1].fill_(bad);
    EXPECT_FALSE(finite_with(e, z));
    u.u = u.u.clone();
    u.u[1][2].fill_(bad);
    EXPECT_FALSE(finite_with(e, u));
    own.own_centers = own.own_centers.clone();
    own.own_centers[1][2].fill_(bad);
    EXPECT_FALSE(finite_with(e, own));
  }
}

// The result for one sample at a right angle to its center, with the given sums over the negatives.
LossResult WithSums(float z, double scale, double shift) {
  const at::Tensor e = at::tensor(std::vector<float>{2, 0}).view({1, 2});
  const SoftmaxStatistics statistics{.z = at::tensor(std::vector<float>{z}),
                                     .u = at::tensor(std::vector<float>{0, z}).view({1, 2}),
                                     .own_centers = at::tensor(std::vector<float>{0, 1}).view({1, 2})};
  const auto loss = Make("softmax", 0, scale, 2);
  return ComputeLoss(e, Labels({0}), statistics, shift, *loss, {.step = 1, .global_batch = 1});
}

TEST(ComputeLoss, TheLargestAndSmallestSumsStayInFloat32) {
  // With z = e^69 and s = 1, r is about 1e-30, and r·U must still be alpha·s.
  const float largest = std::exp(69.0f);
  const LossResult large = WithSums(largest, 1.0, -60.0);
  EXPECT_TRUE(large.finite);
  EXPECT_GT(large.r.item<float>(), 0.0f);
  EXPECT_NEAR(large.r.item<double>() * largest, large.alpha.item<double>(), 1e-5);
  // It is (alpha·s + t)·(0, 1)/‖e‖ with t = -alpha·s, so the negative and the own center cancel.
  EXPECT_NEAR(large.d_embedding[0][1].item<double>(), 0.0, 1e-6);
  // With almost no negatives and s = 80, r would be 8e41. It becomes the largest float, and the step is not skipped.
  const LossResult small = WithSums(1e-40f, 80.0, 90.0);
  EXPECT_TRUE(small.finite);
  EXPECT_EQ(small.r.item<float>(), std::numeric_limits<float>::max());
  EXPECT_TRUE(at::isfinite(small.d_embedding).all().item<bool>());
}

TEST(ComputeLoss, TheEmbeddingsHistoryAndTheCallersGradModeDoNotMatter) {
  const at::Tensor centers = Normals(5, kDim, 2), labels = Labels({0, 1, 2});
  const at::Tensor leaf = Normals(3, kDim, 1).to(at::kFloat).requires_grad_();
  const at::Tensor e = leaf * 2.0;
  const auto loss = Make("arcface", 0.5, 64, 5);
  const LossResult plain = Compute(e.detach(), labels, centers, *loss);
  const LossResult tracked = Compute(e, labels, centers, *loss);
  EXPECT_TRUE(at::equal(tracked.d_embedding, plain.d_embedding));
  EXPECT_FALSE(leaf.grad().defined());
  const at::NoGradGuard no_gradients;
  const LossResult unrecorded = Compute(e, labels, centers, *loss);
  EXPECT_TRUE(at::equal(unrecorded.d_embedding, plain.d_embedding));
  EXPECT_FALSE(unrecorded.d_embedding.requires_grad() || unrecorded.sample_loss.requires_grad());
}

}  // namespace
}  // namespace arcshard::worker
