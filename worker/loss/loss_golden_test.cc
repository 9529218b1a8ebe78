#include <map>
#include <string>
#include <vector>

#include "ATen/ops/cat.h"
#include "gtest/gtest.h"
#include "worker/loss/testing/dense_statistics.h"
#include "worker/loss/testing/golden_case.h"

// Compares the loss with the reference cases of tests/data/golden, with statistics from the unsharded formula.
namespace arcshard::worker {
namespace {

class LossGolden : public testing::TestWithParam<std::string> {};

TEST_P(LossGolden, EqualsTheUnshardedFloat64Reference) {
  const auto opened = GoldenCase::Open(GetParam());
  ASSERT_TRUE(opened.ok()) << opened.status();
  const GoldenCase& golden = **opened;
  for (int step = 1; step <= golden.steps(); ++step) {
    const at::Tensor labels = golden.Labels(step);
    const at::Tensor centers = golden.Reals("W", step - 1);
    const at::Tensor input = golden.HeadInput(step).to(at::kFloat);
    const std::unique_ptr<MarginLoss> loss = golden.Loss(step);

    double total = 0;
    std::map<std::string, std::vector<at::Tensor>> parts;
    LossContext context{.step = static_cast<uint64_t>(step), .global_batch = labels.size(0), .first_sample = 0};
    for (const int64_t size : golden.MicroBatches()) {
      const at::Tensor e = input.narrow(0, context.first_sample, size);
      const at::Tensor y = labels.narrow(0, context.first_sample, size);
      context.sample_weights = golden.SampleWeights(step, context.first_sample, size);
      const SoftmaxStatistics statistics = DenseStatistics(e.to(at::kDouble), y, centers, loss->scale());
      const LossResult result =
          ComputeLoss(e, y, statistics, LogitShift(loss->scale(), centers.size(0)), *loss, context);
      EXPECT_TRUE(result.finite);
      EXPECT_NEAR(result.cosine_sum, result.cosine.sum().item<double>(), 1e-4);
      total += result.loss;
      parts["sample_loss"].push_back(result.sample_loss);
      parts["lse"].push_back(result.lse);
      parts["cos"].push_back(result.cosine);
      parts["alpha"].push_back(result.alpha);
      parts["t"].push_back(result.t);
      parts["dE"].push_back(result.d_embedding);
      // The shards get r instead of alpha.
      const at::Tensor r = at::where(statistics.z == 0.0, 0.0, result.alpha * loss->scale() / statistics.z);
      EXPECT_LE((result.r - r).abs().max().item<double>(), 1e-6 * r.abs().max().item<double>());
      context.first_sample += size;
    }

    golden.ExpectLossClose(total, step);
    for (const auto& [name, tensors] : parts) {
      at::Tensor whole = at::cat(tensors);
      if (name == "dE" && golden.Flag("standardize")) {
        whole = ThroughStandardize(golden.Reals("E", step), whole.to(at::kDouble));
      }
      golden.ExpectClose(whole, name, step);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, LossGolden, testing::ValuesIn(GoldenCasesOfTheLoss()),
                         [](const auto& each) { return each.param; });

}  // namespace
}  // namespace arcshard::worker
