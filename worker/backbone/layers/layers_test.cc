#include "worker/backbone/layers/layers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include "ATen/Parallel.h"
#include "ATen/ops/einsum.h"
#include "ATen/ops/full.h"
#include "ATen/ops/native_batch_norm.h"
#include "ATen/ops/ones.h"
#include "ATen/ops/prelu.h"
#include "ATen/ops/tensor.h"
#include "ATen/ops/zeros.h"
#include "worker/backbone/layers/batch_norm.h"
#include "worker/backbone/layers/initialization.h"
#include "worker/backbone/layers/prelu.h"
#include "worker/backbone/layers/standardize.h"

namespace arcshard::worker {
namespace {

at::Tensor Normal(at::IntArrayRef shape, uint32_t stream) {
  at::Tensor tensor = at::ones(shape, at::kFloat);
  FillNormal(7, stream, 1.0, absl::MakeSpan(tensor.mutable_data_ptr<float>(), static_cast<size_t>(tensor.numel())));
  return tensor;
}

double LargestDifference(const at::Tensor& a, const at::Tensor& b) { return a.sub(b).abs().max().item<double>(); }

TEST(PRelu, EqualsAtensOwnForwardAndBackward) {
  const at::Tensor gradient = Normal({4, 3, 5, 5}, 1);
  at::Tensor x[2], slope[2];
  for (int i = 0; i < 2; ++i) {
    x[i] = Normal({4, 3, 5, 5}, 2).requires_grad_(true);
    slope[i] = at::tensor({0.25f, -0.5f, 2.0f}).requires_grad_(true);
  }
  const at::Tensor ours = ApplyPRelu(x[0], slope[0]);
  const at::Tensor atens = at::prelu(x[1], slope[1]);
  EXPECT_EQ(LargestDifference(ours, atens), 0);
  ours.backward(gradient);
  atens.backward(gradient);
  EXPECT_LT(LargestDifference(x[0].grad(), x[1].grad()), 1e-6);
  EXPECT_LT(LargestDifference(slope[0].grad(), slope[1].grad()), 1e-5);
}

TEST(PRelu, WithOneSlopeEqualsAtensOwnForwardAndBackward) {
  const at::Tensor gradient = Normal({4, 3, 5, 5}, 1);
  at::Tensor x[2], slope[2];
  for (int i = 0; i < 2; ++i) {
    x[i] = Normal({4, 3, 5, 5}, 2).requires_grad_(true);
    slope[i] = at::tensor({-0.5f}).requires_grad_(true);
  }
  ApplyPRelu(x[0], slope[0]).backward(gradient);
  at::prelu(x[1], slope[1]).backward(gradient);
  EXPECT_LT(LargestDifference(x[0].grad(), x[1].grad()), 1e-6);
  ASSERT_EQ(slope[0].grad().sizes(), (std::vector<int64_t>{1}));
  EXPECT_LT(LargestDifference(slope[0].grad(), slope[1].grad()), 1e-4);
}

TEST(PRelu, ByRowsEqualsAtensOwnForAnyLayoutAndNumberOfThreads) {
  for (const int64_t channels : {1, 3, 16, 37}) {
    for (const bool last : {false, true}) {
      for (const int threads : {1, 3}) {
        SCOPED_TRACE(testing::Message() << channels << " channels, " << threads << " threads");
        const int before = at::get_num_threads();
        at::set_num_threads(threads);
        const auto format = last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
        at::Tensor x[2], slope[2], y[2];
        for (int i = 0; i < 2; ++i) {
          x[i] = Normal({5, channels, 7, 6}, 2).contiguous(format).requires_grad_(true);
          slope[i] = Normal({channels}, 3).requires_grad_(true);
          y[i] = i == 0 ? ApplyPRelu(x[i], slope[i]) : at::prelu(x[i], slope[i]);
          y[i].backward(Normal({5, channels, 7, 6}, 1));
        }
        at::set_num_threads(before);
        EXPECT_EQ(LargestDifference(y[0], y[1]), 0);
        EXPECT_LT(LargestDifference(x[0].grad(), x[1].grad()), 1e-6);
        EXPECT_LT(LargestDifference(slope[0].grad(), slope[1].grad()), 1e-4);
      }
    }
  }
}

TEST(BatchNorm, EqualsAtensOwnForwardAndBackwardForAnyLayoutOfItsGradient) {
  for (const at::Tensor& images : {Normal({6, 16, 5, 4}, 2), Normal({6, 16}, 4)}) {
    for (const bool last : {false, true}) {
      if (last && images.dim() == 2) continue;
      const auto format = last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
      const at::Tensor gradient = Normal(images.sizes(), 1);  // not channels-last
      at::Tensor x[2], weight[2], bias[2], y[2];
      BatchStatistics statistics;
      const at::Tensor mean = at::zeros({16}), variance = at::zeros({16});
      for (int i = 0; i < 2; ++i) {
        x[i] = images.contiguous(format).clone().requires_grad_(true);
        weight[i] = Normal({16}, 5).requires_grad_(true);
        bias[i] = Normal({16}, 6).requires_grad_(true);
        y[i] = i == 0 ? NormalizeBatch(x[i], weight[i], bias[i], 1e-5, &statistics)
                      : std::get<0>(at::native_batch_norm(x[i], weight[i], bias[i], mean, variance, true, 1, 1e-5));
        y[i].backward(gradient);
      }
      EXPECT_EQ(LargestDifference(y[0], y[1]), 0);
      EXPECT_EQ(LargestDifference(statistics.mean, mean), 0);
      EXPECT_EQ(LargestDifference(statistics.variance, variance), 0);
      EXPECT_LT(LargestDifference(x[0].grad(), x[1].grad()), 1e-5);
      EXPECT_LT(LargestDifference(weight[0].grad(), weight[1].grad()), 1e-4);
      EXPECT_LT(LargestDifference(bias[0].grad(), bias[1].grad()), 1e-4);
      EXPECT_TRUE(x[0].grad().is_contiguous(format)) << "so that the next kernel is fast, too";
    }
  }
}

// LibTorch's own strided 1×1 convolution of few channels writes past its buffers on processors without AVX-512. On
// others, ATEN_CPU_CAPABILITY=avx2, ONEDNN_MAX_CPU_ISA=AVX2 and MALLOC_CHECK_=3 show this too.
TEST(Conv2d, AStridedOneByOneKernelEqualsTheProductWithEveryOtherPixelForAnyNumberOfChannels) {
  for (const int64_t channels : {1, 2, 3, 4, 5, 6, 7, 8, 16, 33}) {
    for (const int64_t side : {7, 8}) {
      ModelState state({});
      const Conv2d conv(&state, "conv", channels, 2 * channels, {.kernel_size = 1, .stride = 2, .pad = false});
      const at::Tensor images = Normal({4, channels, side, side}, 21).contiguous(at::MemoryFormat::ChannelsLast);
      const at::Tensor x[2] = {images.clone().requires_grad_(true), images.to(at::kDouble).requires_grad_(true)};
      const at::Tensor weight = state.parameters()[0].tensor;
      const at::Tensor weight64 = weight.detach().to(at::kDouble).requires_grad_(true);

      const at::Tensor ours = conv.Forward(x[0]);
      const at::Tensor picked = x[1].slice(2, 0, side, 2).slice(3, 0, side, 2);
      const at::Tensor product = at::einsum("oc,bchw->bohw", {weight64.flatten(1), picked});
      ASSERT_EQ(ours.sizes(), product.sizes());
      const at::Tensor gradient = Normal(ours.sizes(), 22);
      ours.backward(gradient);
      product.backward(gradient.to(at::kDouble));

      EXPECT_LT(LargestDifference(ours.to(at::kDouble), product), 1e-5) << channels << " channels";
      EXPECT_LT(LargestDifference(x[0].grad().to(at::kDouble), x[1].grad()), 1e-5) << channels << " channels";
      EXPECT_LT(LargestDifference(weight.grad().to(at::kDouble), weight64.grad()), 1e-4) << channels << " channels";
    }
  }
}

// Runs a layer in bfloat16 and in float32, on values that bfloat16 represents exactly, and compares the norms of
// results and of the gradients of input and parameters. On the way to each value lie at most three roundings in a row:
// of a parameter, of a product, and of the result. Each changes what it rounds by at most 2⁻⁸ of it (by 2⁻⁸/√6 in the
// root mean square), and since the errors are independent, a sum of such terms has the same share of error as the
// terms.
template <typename Forward>
void ExpectBfloat16NearFloat32(ModelState* state, const at::Tensor& input, Forward forward) {
  const at::Tensor rounded = input.to(at::kBFloat16);
  std::vector<at::Tensor> found[2];
  for (int i = 0; i < 2; ++i) {
    const at::Tensor x = rounded.to(i == 0 ? at::kFloat : at::kBFloat16).detach().requires_grad_(true);
    for (const NamedTensor& parameter : state->parameters()) parameter.tensor.mutable_grad() = at::Tensor();
    const at::Tensor y = forward(x);
    EXPECT_EQ(y.scalar_type(), x.scalar_type());
    y.backward(Normal(y.sizes(), 9).to(at::kBFloat16).to(y.scalar_type()));
    found[i] = {y.detach(), x.grad()};
    for (const NamedTensor& parameter : state->parameters()) {
      EXPECT_EQ(parameter.tensor.grad().scalar_type(), at::kFloat) << parameter.name;
      found[i].push_back(parameter.tensor.grad());
    }
  }
  for (size_t j = 0; j < found[0].size(); ++j) {
    const double distance = found[1][j].sub(found[0][j]).norm().item<double>();
    EXPECT_LT(distance, 3 * 0x1p-8 * found[0][j].norm().item<double>())
        << "result, input's gradient, parameters': " << j;
  }
}

TEST(Bfloat16, ALayerComputesInItsInputsTypeAndIsOneRoundingAwayFromFloat32) {
  const ForwardContext context{.training = true};
  const at::Tensor images = Normal({8, 6, 9, 9}, 11).contiguous(at::MemoryFormat::ChannelsLast);
  {
    ModelState state({});
    const Conv2d conv(&state, "conv", 6, 8, {.stride = 2, .groups = 2});
    ExpectBfloat16NearFloat32(&state, images, [&](const at::Tensor& x) { return conv.Forward(x); });
  }
  {
    ModelState state({});
    const Linear linear(&state, "linear", 6 * 81, 5);
    ExpectBfloat16NearFloat32(&state, images.flatten(1), [&](const at::Tensor& x) { return linear.Forward(x); });
  }
  for (const int64_t slopes : {6, 1}) {
    ModelState state({});
    const PRelu prelu(&state, "prelu", slopes);
    ExpectBfloat16NearFloat32(&state, images, [&](const at::Tensor& x) { return prelu.Forward(x); });
  }
  {
    ModelState state({});
    const BatchNorm bn(&state, "bn", 6);
    ExpectBfloat16NearFloat32(&state, images, [&](const at::Tensor& x) { return bn.Forward(x, context); });
    EXPECT_EQ(state.statistics().pending().scalar_type(), at::kFloat);
  }
}

TEST(Dropout, MaskIsAFunctionOfSeedStepAndMicroBatchAlone) {
  const Dropout dropout(1, 0.4);
  const at::Tensor x = at::ones({8, 33}, at::kFloat);
  const ForwardContext context{.training = true, .step = 5, .micro_batch = 2};
  const at::Tensor mask = dropout.Forward(x, context);
  dropout.Forward(x, {.training = true, .step = 6, .micro_batch = 0});
  EXPECT_TRUE(dropout.Forward(x, context).equal(mask)) << "what was drawn in between takes no part";
  EXPECT_TRUE(Dropout(1, 0.4).Forward(x, context).equal(mask));
  EXPECT_FALSE(Dropout(2, 0.4).Forward(x, context).equal(mask));
  EXPECT_FALSE(dropout.Forward(x, {.training = true, .step = 6, .micro_batch = 2}).equal(mask));
  EXPECT_FALSE(dropout.Forward(x, {.training = true, .step = 5, .micro_batch = 3}).equal(mask));
}

TEST(Dropout, MasksOfStepsAndMicroBatchesAreIndependent) {
  const Dropout dropout(1, 0.4);
  const at::Tensor x = at::ones({100, 1000}, at::kFloat);
  const at::Tensor mask = dropout.Forward(x, {.training = true, .step = 4, .micro_batch = 1});
  const double by_chance = 0.4 * 0.4 + 0.6 * 0.6;  // the share of the places at which two masks agree
  for (const auto& [step, micro_batch] : {std::pair<uint64_t, uint32_t>{4, 2}, {5, 1}, {1, 4}}) {
    const at::Tensor other = dropout.Forward(x, {.training = true, .step = step, .micro_batch = micro_batch});
    EXPECT_NEAR(other.eq(mask).sum().item<double>() / 1e5, by_chance, 0.01) << step << ", " << micro_batch;
  }
}

TEST(Dropout, KeepsTheExpectedShareAndTheMeanInTrainingAndEverythingAtTest) {
  const Dropout dropout(1, 0.4);
  const at::Tensor x = at::ones({100, 1000}, at::kFloat);
  const at::Tensor y = dropout.Forward(x, {.training = true, .step = 1});
  EXPECT_NEAR(y.eq(0).sum().item<double>() / 1e5, 0.4, 0.01);
  EXPECT_NEAR(y.mean().item<double>(), 1.0, 0.02);
  EXPECT_TRUE(dropout.Forward(x, {.training = false}).equal(x));
}

TEST(Initialization, NormalsHaveTheMomentsAndTheTailsOfANormalDistribution) {
  std::vector<float> values(200'000);
  FillNormal(3, 0, 0.1, absl::MakeSpan(values));
  double sum = 0, squares = 0;
  int beyond_two = 0;
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
    beyond_two += std::abs(value) > 0.2f;
  }
  EXPECT_NEAR(sum / 200'000, 0, 1e-3);
  EXPECT_NEAR(std::sqrt(squares / 200'000), 0.1, 1e-3);
  EXPECT_NEAR(beyond_two / 200'000.0, 0.0455, 0.002);
}

TEST(Initialization, UniformsFillTheirInterval) {
  std::vector<float> values(100'000);
  FillUniform(3, 0, 0.5, absl::MakeSpan(values));
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  EXPECT_GE(*low, -0.5f);
  EXPECT_LT(*low, -0.499f);
  EXPECT_LT(*high, 0.5f);
  EXPECT_GT(*high, 0.499f);
}

TEST(Initialization, AValueDependsOnSeedParameterAndPlaceButNotOnTheTensorsSize) {
  std::vector<float> few(5), many(50), other(50);
  FillNormal(3, 1, 1.0, absl::MakeSpan(few));
  FillNormal(3, 1, 1.0, absl::MakeSpan(many));
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
  FillNormal(3, 2, 1.0, absl::MakeSpan(other));
  EXPECT_NE(many, other);
  FillNormal(4, 1, 1.0, absl::MakeSpan(other));
  EXPECT_NE(many, other);
}

TEST(Standardize, GivesEachDimensionMeanZeroAndBiasedVarianceOne) {
  const at::Tensor f = Normal({16, 5}, 3).mul(3).add(2);
  const at::Tensor expected = f.sub(f.mean(0)).div(f.var(0, /*unbiased=*/false).add(2e-5).sqrt());
  EXPECT_LT(LargestDifference(Standardize(f), expected), 1e-5);
}

TEST(Standardize, GradientEqualsThatOfTheWrittenOutFormula) {
  const at::Tensor direction = Normal({16, 5}, 4);
  at::Tensor f = Normal({16, 5}, 3).requires_grad_(true);
  at::Tensor same = Normal({16, 5}, 3).requires_grad_(true);
  Standardize(f).backward(direction);
  same.sub(same.mean(0)).div(same.var(0, /*unbiased=*/false).add(2e-5).sqrt()).backward(direction);
  EXPECT_LT(LargestDifference(f.grad(), same.grad()), 1e-5);
  EXPECT_GT(f.grad().abs().max().item<double>(), 0.1);
}

}  // namespace
}  // namespace arcshard::worker
