#include "worker/backbone/layers/running_statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ATen/ops/full.h"
#include "ATen/ops/tensor.h"
#include "ATen/ops/zeros.h"
#include "worker/backbone/layers/layers.h"
#include "worker/backbone/layers/model_state.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::FloatNear;

std::vector<float> Values(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

TEST(RunningStatistics, CommitMovesEachAverageByItsOwnMomentumTowardsTheWeightedSum) {
  RunningStatistics statistics;
  const at::Tensor mean = at::tensor({1.0f, 2.0f});
  const at::Tensor norm = at::tensor({20.0f});  // a loss registers its averages as a layer does
  const auto mean_handle = statistics.Register(mean, 0.1);
  const auto norm_handle = statistics.Register(norm, 0.5);
  statistics.Deposit(mean_handle, at::tensor({3.0f, 0.0f}), 0.75);
  statistics.Deposit(mean_handle, at::tensor({7.0f, 4.0f}), 0.25);
  statistics.Deposit(norm_handle, at::tensor({30.0f}), 1.0);
  EXPECT_THAT(Values(statistics.pending()), ElementsAre(4.0f, 1.0f, 30.0f));
  statistics.Commit(statistics.pending());
  EXPECT_THAT(Values(mean), ElementsAre(FloatEq(0.9f * 1 + 0.1f * 4), FloatEq(0.9f * 2 + 0.1f * 1)));
  EXPECT_THAT(Values(norm), ElementsAre(FloatEq(25)));
  EXPECT_THAT(Values(statistics.pending()), ElementsAre(0, 0, 0));
}

TEST(RunningStatistics, CommitTakesTheSumsOfAllWorkersAndCountsOneStep) {
  RunningStatistics statistics;
  const at::Tensor running = at::zeros({2}, at::kFloat);
  const at::Tensor counter = at::zeros({}, at::kLong);
  statistics.Register(running, 0.5);
  statistics.RegisterCounter(counter);
  statistics.Commit(at::tensor({8.0f, 6.0f}));
  EXPECT_THAT(Values(running), ElementsAre(4, 3));
  EXPECT_EQ(counter.item<int64_t>(), 1);
}

TEST(RunningStatistics, ASkippedStepLeavesAveragesAndForgetsDeposits) {
  RunningStatistics statistics;
  const at::Tensor running = at::tensor({5.0f});
  statistics.Deposit(statistics.Register(running, 0.1), at::tensor({100.0f}), 1.0);
  statistics.Discard();
  EXPECT_THAT(Values(running), ElementsAre(5));
  EXPECT_THAT(Values(statistics.pending()), ElementsAre(0));
}

TEST(RunningStatistics, DepositsGoWhereTheSumsWereMovedTo) {
  RunningStatistics statistics;
  const auto handle = statistics.Register(at::zeros({2}, at::kFloat), 0.1);
  const at::Tensor buffer = at::full({5}, 9, at::kFloat);
  statistics.MoveTo(buffer.narrow(0, 2, 2));
  statistics.Discard();
  statistics.Deposit(handle, at::tensor({1.0f, 2.0f}), 0.5);
  EXPECT_THAT(Values(buffer), ElementsAre(9, 9, 0.5f, 1, 9));
}

// BatchNorm of one channel over two micro-batches of 2 and 3 samples.
TEST(BatchNorm, OverTwoMicroBatchesTheAveragesMoveOnceBySampleWeightedUnbiasedStatistics) {
  ModelState state({.seed = 1});
  const BatchNorm bn(&state, "bn", 1);
  const at::Tensor first = at::tensor({1.0f, 3.0f}).view({2, 1});         // mean 2, unbiased variance 2
  const at::Tensor second = at::tensor({0.0f, 6.0f, 9.0f}).view({3, 1});  // mean 5, unbiased variance 21
  bn.Forward(first, {.training = true, .step = 1, .micro_batch = 0, .weight = 0.4});
  bn.Forward(second, {.training = true, .step = 1, .micro_batch = 1, .weight = 0.6});
  EXPECT_THAT(Values(state.tensors()[2].tensor), ElementsAre(0)) << "before the commit";
  state.statistics().Commit(state.statistics().pending());
  EXPECT_EQ(state.tensors()[2].name, "bn.running_mean");
  EXPECT_THAT(Values(state.tensors()[2].tensor), ElementsAre(FloatEq(0.1f * (0.4f * 2 + 0.6f * 5))));
  EXPECT_EQ(state.tensors()[3].name, "bn.running_var");
  EXPECT_THAT(Values(state.tensors()[3].tensor), ElementsAre(FloatEq(0.9f * 1 + 0.1f * (0.4f * 2 + 0.6f * 21))));
  EXPECT_EQ(state.tensors()[4].name, "bn.num_batches_tracked");
  EXPECT_EQ(state.tensors()[4].tensor.item<int64_t>(), 1);
}

TEST(BatchNorm, NormalisesByTheMicroBatchInTrainingAndByTheAveragesAtTest) {
  ModelState state({.seed = 1});
  const BatchNorm bn(&state, "bn", 1, {.eps = 0});
  state.tensors()[2].tensor.fill_(10);
  state.tensors()[3].tensor.fill_(4);
  const at::Tensor x = at::tensor({1.0f, 3.0f}).view({2, 1});
  EXPECT_THAT(Values(bn.Forward(x, {.training = true})), ElementsAre(FloatNear(-1, 1e-6), FloatNear(1, 1e-6)));
  EXPECT_THAT(Values(bn.Forward(x, {.training = false})), ElementsAre(FloatNear(-4.5, 1e-6), FloatNear(-3.5, 1e-6)));
}

}  // namespace
}  // namespace arcshard::worker
