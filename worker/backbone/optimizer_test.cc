#include "worker/backbone/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/ops/empty.h"
#include "ATen/ops/tensor.h"
#include "test_paths.h"
#include "worker/backbone/testing/recorded_case.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

std::vector<float> Values(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), tensor.const_data_ptr<float>() + tensor.numel()};
}

TEST(Sgd, TwoStepsEqualTheFormula) {
  const at::Tensor values = at::tensor({1.0f, -2.0f});
  const auto sgd = Optimizer::Create(values, SgdOptions{.momentum = 0.5, .weight_decay = 0.1});
  sgd->Step(at::tensor({1.0f, 1.0f}), 0.1);  // v = (1.1, 0.8)
  EXPECT_THAT(Values(values), ElementsAre(FloatEq(0.89f), FloatEq(-2.08f)));
  sgd->Step(at::tensor({0.0f, 2.0f}), 0.2);  // v = (0.639, 2.192)
  EXPECT_THAT(Values(values), ElementsAre(FloatEq(0.89f - 0.2f * 0.639f), FloatEq(-2.08f - 0.2f * 2.192f)));
}

TEST(Sgd, WithoutMomentumTheLastGradientAloneCounts) {
  const at::Tensor values = at::tensor({1.0f});
  const auto sgd = Optimizer::Create(values, SgdOptions{.momentum = 0, .weight_decay = 0});
  sgd->Step(at::tensor({1.0f}), 0.5);
  sgd->Step(at::tensor({0.0f}), 0.5);
  EXPECT_THAT(Values(values), ElementsAre(0.5f));
}

// The case that tests/reference/make_optimizer_case.py recorded, with gradients and learning rates of several sizes,
// among them a rate of 0.
TEST(AdamW, EveryStepEqualsPyTorchs) {
  const RecordedCase recorded(ARCSHARD_SOURCE_DIR "/tests/data/adamw.safetensors");
  const at::Tensor values = recorded.Tensor("before").clone();
  const auto adamw = Optimizer::Create(values, AdamWOptions{.beta1 = recorded.Number("beta1"),
                                                            .beta2 = recorded.Number("beta2"),
                                                            .epsilon = recorded.Number("epsilon"),
                                                            .weight_decay = recorded.Number("weight_decay")});
  const at::Tensor gradients = recorded.Tensor("gradients"), rates = recorded.Tensor("lr"),
                   after = recorded.Tensor("after");
  ASSERT_EQ(gradients.size(0), 8);
  for (int64_t step = 0; step < gradients.size(0); ++step) {
    adamw->Step(gradients[step], rates[step].item<float>());
    EXPECT_LE(values.sub(after[step]).abs().max().item<double>(), 1e-6) << "step " << step;
  }
  EXPECT_GT(values.sub(recorded.Tensor("before")).abs().min().item<double>(), 1e-4) << "a value has not moved";
}

// A second optimizer that gets the state of the first continues as the first does.
TEST(Optimizers, GoOnFromTheirStateBitForBit) {
  for (const OptimizerOptions& options : {OptimizerOptions(SgdOptions()), OptimizerOptions(SgdOptions{.momentum = 0}),
                                          OptimizerOptions(AdamWOptions())}) {
    const at::Tensor values = at::tensor({1.0f, -2.0f, 0.5f});
    const auto first = Optimizer::Create(values, options);
    for (const float gradient : {0.3f, -1.5f, 0.01f}) first->Step(at::tensor({gradient, 1.0f, -gradient}), 0.1);

    const at::Tensor resumed = values.clone();
    const auto second = Optimizer::Create(resumed, options);
    ASSERT_EQ(first->state().size(), second->state().size());
    for (size_t i = 0; i < first->state().size(); ++i) {
      EXPECT_EQ(first->state()[i].name, second->state()[i].name);
      second->state()[i].tensor.copy_(first->state()[i].tensor);
    }
    const at::Tensor gradient = at::tensor({0.7f, 0.2f, -0.1f});
    first->Step(gradient, 0.05);
    second->Step(gradient, 0.05);
    EXPECT_TRUE(values.equal(resumed)) << first->kind();
  }
}

TEST(Optimizers, NameWhatTheyKeep) {
  const at::Tensor values = at::tensor({1.0f});
  const auto names = [&](const OptimizerOptions& options) {
    std::vector<std::string> all;
    for (const NamedTensor& kept : Optimizer::Create(values, options)->state()) all.push_back(kept.name);
    return all;
  };
  EXPECT_THAT(names(SgdOptions()), ElementsAre("momentum"));
  EXPECT_THAT(names(SgdOptions{.momentum = 0}), ElementsAre());
  EXPECT_THAT(names(AdamWOptions()), ElementsAre("first_moment", "second_moment", "steps"));
}

TEST(Optimizers, TakeAModelOfWhichEveryParameterIsFrozen) {
  for (const OptimizerOptions& options : {OptimizerOptions(SgdOptions()), OptimizerOptions(AdamWOptions())}) {
    const at::Tensor none = at::empty({0}, at::kFloat);
    const auto optimizer = Optimizer::Create(none, options);
    optimizer->Step(none, 0.1);
    EXPECT_EQ(none.numel(), 0);
  }
}

}  // namespace
}  // namespace arcshard::worker
