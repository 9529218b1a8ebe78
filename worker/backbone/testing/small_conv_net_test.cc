#include "worker/backbone/testing/small_conv_net.h"

#include <gtest/gtest.h>

#include <vector>

#include "ATen/ops/linspace.h"
#include "worker/backbone/flat_parameters.h"
#include "worker/backbone/step_sums.h"

namespace arcshard::worker {
namespace {

at::Tensor Images(int64_t samples) {
  return at::linspace(0, 500, samples * 3 * 8 * 8, at::kFloat).sin().view({samples, 3, 8, 8});
}

// One worker's sums over the given micro-batches of a step, whose global batch has 4 + 2 samples.
at::Tensor SumsOf(const std::vector<uint32_t>& micro_batches) {
  SmallConvNet net({.width = 4, .image_size = 8, .embedding_size = 3, .dropout = 0.4});
  FlattenParameters(net.parameters());
  const StepSums sums(net.parameters(), &net.statistics(), 0);
  const at::Tensor images = Images(6);
  for (const uint32_t micro_batch : micro_batches) {
    const at::Tensor part = micro_batch == 0 ? images.narrow(0, 0, 4) : images.narrow(0, 4, 2);
    const auto embeddings = net.Forward(
        part,
        {.training = true, .step = 9, .micro_batch = micro_batch, .weight = static_cast<double>(part.size(0)) / 6});
    EXPECT_TRUE(embeddings.ok()) << embeddings.status();
    embeddings->square().sum().backward();
  }
  return sums.own();
}

TEST(SmallConvNet, TwoWorkersSumsAddUpToThoseOfOneWorkerWithAllMicroBatches) {
  const at::Tensor one = SumsOf({0, 1});
  const at::Tensor two = SumsOf({1}).add(SumsOf({0}));
  EXPECT_GT(one.abs().max().item<double>(), 1);
  EXPECT_LT(one.sub(two).abs().max().item<double>(), 1e-6 * one.abs().max().item<double>());
}

TEST(SmallConvNet, ARepeatedMicroBatchGivesTheSameBits) { EXPECT_TRUE(SumsOf({1}).equal(SumsOf({1}))); }

}  // namespace
}  // namespace arcshard::worker
