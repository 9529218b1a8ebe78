#include "worker/backbone/step_sums.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "ATen/ops/full.h"
#include "ATen/ops/tensor.h"
#include "ATen/ops/zeros.h"
#include "worker/backbone/flat_parameters.h"
#include "worker/backbone/gradient_norm.h"
#include "worker/backbone/layers/running_statistics.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

std::vector<float> Values(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

std::vector<NamedTensor> TwoParameters() {
  return {{"a", at::tensor({1.0f, 2.0f}).requires_grad_(true)},
          {"b", at::tensor({3.0f, 4.0f, 5.0f, 6.0f}).view({2, 2}).requires_grad_(true)}};
}

TEST(FlattenParameters, MakesEveryParameterAViewAndKeepsValuesAndShapes) {
  const std::vector<NamedTensor> parameters = TwoParameters();
  const at::Tensor handle_of_a_layer = parameters[1].tensor;
  const at::Tensor values = FlattenParameters(parameters);
  EXPECT_THAT(Values(values), ElementsAre(1, 2, 3, 4, 5, 6));
  values.fill_(7);
  EXPECT_THAT(Values(handle_of_a_layer), ElementsAre(7, 7, 7, 7));
  EXPECT_EQ(handle_of_a_layer.sizes(), (std::vector<int64_t>{2, 2}));
  EXPECT_TRUE(handle_of_a_layer.requires_grad());
}

TEST(StepSums, BackwardPassesAddUpInOneBufferInFrontOfStatisticsAndScalars) {
  const std::vector<NamedTensor> parameters = TwoParameters();
  FlattenParameters(parameters);
  RunningStatistics statistics;
  const auto handle = statistics.Register(at::zeros({1}, at::kFloat), 0.1);
  const StepSums sums(parameters, &statistics, 2);
  for (int i = 0; i < 2; ++i) {
    parameters[0].tensor.mul(at::tensor({10.0f, 20.0f})).sum().add(parameters[1].tensor.sum()).backward();
    statistics.Deposit(handle, at::tensor({3.0f}), 0.5);
    sums.Scalars(sums.own())[1].add_(8);
  }
  EXPECT_THAT(Values(sums.own()), ElementsAre(20, 40, 2, 2, 2, 2, 3, 0, 16));
  EXPECT_THAT(Values(sums.Gradients(sums.own())), ElementsAre(20, 40, 2, 2, 2, 2));
  EXPECT_THAT(Values(sums.Statistics(sums.own())), ElementsAre(3));
}

TEST(StepSums, ZeroBeginsTheNextStepInTheSameBuffer) {
  const std::vector<NamedTensor> parameters = TwoParameters();
  RunningStatistics statistics;
  StepSums sums(parameters, &statistics, 0);
  parameters[0].tensor.sum().backward();
  sums.Zero();
  EXPECT_THAT(Values(sums.own()), ElementsAre(0, 0, 0, 0, 0, 0));
  parameters[0].tensor.sum().backward();
  EXPECT_THAT(Values(sums.own()), ElementsAre(1, 1, 0, 0, 0, 0));
}

TEST(AllFinite, FindsInfinityAndNaNAnywhere) {
  const at::Tensor values = at::full({1000}, -std::numeric_limits<float>::max(), at::kFloat);
  EXPECT_TRUE(AllFinite(values));
  EXPECT_TRUE(AllFinite(at::zeros({0}, at::kFloat)));
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    for (const int64_t place : {0, 500, 999}) {
      const at::Tensor copy = values.clone();
      copy.mutable_data_ptr<float>()[place] = bad;
      EXPECT_FALSE(AllFinite(copy)) << bad << " at " << place;
    }
  }
}

TEST(Norm2, IsExactWhereFloatWouldOverflowAndNotFiniteWhereAnElementIsNot) {
  EXPECT_EQ(Norm2(at::full({400}, 0.5f, at::kFloat)), 10.0);
  EXPECT_EQ(Norm2(at::tensor({3e30f, 4e30f})), std::hypot(static_cast<double>(3e30f), static_cast<double>(4e30f)));
  at::Tensor values = at::full({100}, 1, at::kFloat);
  values.mutable_data_ptr<float>()[99] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(Norm2(values)));
}

TEST(ClipGradNorm, ScalesALongGradientToTheLimitAndLeavesAShortOne) {
  const at::Tensor gradient = at::tensor({3.0f, 4.0f});
  ClipGradNorm(Norm2(gradient), 10, gradient);
  EXPECT_THAT(Values(gradient), ElementsAre(3, 4));
  ClipGradNorm(Norm2(gradient), 0.5, gradient);
  const double coefficient = 0.5 / (5 + 1e-6);
  EXPECT_THAT(Values(gradient), ElementsAre(FloatEq(3 * coefficient), FloatEq(4 * coefficient)));
}

}  // namespace
}  // namespace arcshard::worker
