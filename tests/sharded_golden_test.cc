#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "ATen/TensorOperators.h"
#include "ATen/ops/cat.h"
#include "ATen/ops/equal.h"
#include "ATen/ops/from_blob.h"
#include "absl/strings/str_cat.h"
#include "common/protocol/logit_shift.h"
#include "gtest/gtest.h"
#include "tests/testing/shard_cluster.h"
#include "worker/loss/sharded_softmax.h"
#include "worker/loss/testing/golden_case.h"

// Runs the reference cases, including sampled classes and the inter-class filter, through all parts of a step: the
// worker's loss and the state machines and heads of K shards, which are in the same process or behind gRPC servers.
namespace arcshard {
namespace {

using worker::ComputeLoss;
using worker::GoldenCase;
using worker::LossContext;
using worker::LossResult;
using worker::Products;
using worker::SoftmaxStatistics;
using worker::ThroughStandardize;

template <typename T>
absl::Span<const T> SpanOf(const at::Tensor& tensor) {
  return absl::MakeConstSpan(tensor.const_data_ptr<T>(), tensor.numel());
}

std::vector<float> Floats(const at::Tensor& tensor) {
  const at::Tensor floats = tensor.to(at::kFloat).contiguous();
  return {floats.const_data_ptr<float>(), floats.const_data_ptr<float>() + floats.numel()};
}

class ShardedGolden : public testing::TestWithParam<std::tuple<std::string, size_t, Transport, Products>> {
 protected:
  void SetUp() override {
    auto golden = GoldenCase::Open(std::get<0>(GetParam()), std::get<3>(GetParam()));
    ASSERT_TRUE(golden.ok()) << golden.status();
    golden_ = *std::move(golden);
    centers_ = golden_->Reals("W_0");
    options_.ranges = UnevenRanges(centers_.size(0), std::get<1>(GetParam()));
    options_.head.dim = centers_.size(1);
    options_.head.scale = static_cast<float>(golden_->Real("scale"));
    options_.head.optimizer = head::SgdOptions{static_cast<float>(golden_->Real("momentum")),
                                               static_cast<float>(golden_->Real("weight_decay"))};
    if (golden_->Real("filter") > 0) options_.head.filter = static_cast<float>(golden_->Real("filter"));
    options_.head.sample_rate = golden_->Real("sample_rate");
    options_.head.seed = golden_->sampling_seed();
    if (std::get<3>(GetParam()) == Products::kBfloat16) options_.head.compute = head::DataType::kBfloat16;
    options_.batch_size = static_cast<uint32_t>(golden_->Labels(1).size(0));
    for (const int64_t size : golden_->MicroBatches()) sizes_.push_back(static_cast<uint32_t>(size));
    options_.max_in_flight = static_cast<uint32_t>(sizes_.size());
  }

  void StartCluster(int64_t exp_budget_bytes) {
    options_.head.exp_budget_bytes = exp_budget_bytes;
    auto cluster = ShardCluster::Start(options_, std::get<2>(GetParam()));
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    cluster_->SetWeights(Floats(centers_));
    auto client = cluster_->Connect(0);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    const absl::Status status = cluster_->Install(PlanOf(1));
    ASSERT_TRUE(status.ok()) << status;
  }

  Next PlanOf(uint64_t step) const { return {NextAction::kStep, {step, 0, 0, sizes_}}; }

  void Decide(int step, double lr) {
    const uint64_t decided = static_cast<uint64_t>(step);
    const absl::Status status =
        cluster_->Decide({cluster_->view().view, decided, Outcome::kCommit, lr, PlanOf(decided + 1)});
    ASSERT_TRUE(status.ok()) << status;
  }

  // Runs a whole step and returns the loss. Adds the results of each micro-batch to `parts`.
  double RunStep(int step, std::map<std::string, std::vector<at::Tensor>>* parts) {
    const at::Tensor labels = golden_->Labels(step);
    const at::Tensor input = golden_->HeadInput(step).to(at::kFloat);
    const auto loss = golden_->Loss(step);
    const double shift = LogitShift(loss->scale(), centers_.size(0));
    const auto key = [&](size_t m) {
      return Key{cluster_->view().view, static_cast<uint64_t>(step), static_cast<uint32_t>(m)};
    };
    std::vector<int64_t> first;
    for (int64_t at = 0; const uint32_t size : sizes_) {
      first.push_back(at);
      at += size;
    }
    for (size_t m = 0; m < sizes_.size(); ++m)
      client_->SendLabels(key(m), SpanOf<int64_t>(labels).subspan(first[m], sizes_[m]));
    for (size_t m = 0; m < sizes_.size(); ++m) {
      client_->SendEmbedding(key(m), SpanOf<float>(input.narrow(0, first[m], sizes_[m])));
    }
    double total = 0;
    for (size_t m = 0; m < sizes_.size(); ++m) {
      auto sums = client_->Await(key(m));
      EXPECT_TRUE(sums.ok()) << sums.status();
      if (!sums.ok()) return 0;
      const int64_t size = sizes_[m];
      const auto wrap = [](std::vector<float>& values, at::IntArrayRef shape) {
        return at::from_blob(values.data(), shape, at::kFloat);
      };
      const SoftmaxStatistics statistics{wrap(sums->z, {size}), wrap(sums->u, {size, input.size(1)}),
                                         wrap(sums->own_centers, {size, input.size(1)})};
      LossContext context{
          .step = static_cast<uint64_t>(step), .global_batch = labels.size(0), .first_sample = first[m]};
      context.sample_weights = golden_->SampleWeights(step, first[m], size);
      const LossResult result = ComputeLoss(input.narrow(0, first[m], size), labels.narrow(0, first[m], size),
                                            statistics, shift, *loss, context);
      EXPECT_TRUE(result.finite);
      client_->SendGradient(key(m), SpanOf<float>(result.r), SpanOf<float>(result.t));
      total += result.loss;
      (*parts)["lse"].push_back(result.lse);
      (*parts)["cos"].push_back(result.cosine);
      (*parts)["dE"].push_back(result.d_embedding);
    }
    EXPECT_TRUE(cluster_->AwaitVote(step).finite);
    return total;
  }

  // The classes whose weights or momentum have changed. These are the classes that took part in the step, because
  // weight decay changes each of them.
  static at::Tensor Moved(const at::Tensor& weights_before, const at::Tensor& weights,
                          const at::Tensor& momentum_before, const at::Tensor& momentum) {
    return (weights != weights_before).any(1).logical_or((momentum != momentum_before).any(1));
  }

  at::Tensor Matrix(std::vector<float> values) const {
    return at::from_blob(values.data(), centers_.sizes(), at::kFloat).clone();
  }

  std::unique_ptr<GoldenCase> golden_;
  at::Tensor centers_;  // W_0
  std::vector<uint32_t> sizes_;
  ShardClusterOptions options_;
  std::unique_ptr<ShardCluster> cluster_;
  std::unique_ptr<client::HeadClient> client_;  // destroyed first, before the cluster
};

TEST_P(ShardedGolden, EqualsTheUnshardedFloat64Reference) {
  StartCluster(0);
  at::Tensor before = Matrix(cluster_->Weights());
  at::Tensor momentum_before = Matrix(cluster_->Moment(0));
  for (int step = 1; step <= golden_->steps(); ++step) {
    int updates = step - 1;  // since the class centers were the reference's
    if (step > 1 && std::get<3>(GetParam()) == Products::kBfloat16) {
      updates = 0;
      // The tolerance of bfloat16 is for a single step, so each step starts from the reference's state.
      before = golden_->Reals("W", step - 1).to(at::kFloat);
      momentum_before = golden_->Reals("V", step - 1).to(at::kFloat);
      cluster_->SetWeights(Floats(before));
      cluster_->SetMoment(0, Floats(momentum_before));
    }
    std::map<std::string, std::vector<at::Tensor>> parts;
    golden_->ExpectLossClose(RunStep(step, &parts), step, updates);
    for (const auto& [name, tensors] : parts) {
      at::Tensor whole = at::cat(tensors);
      if (name == "dE" && golden_->Flag("standardize")) {
        whole = ThroughStandardize(golden_->Reals("E", step), whole.to(at::kDouble));
      }
      golden_->ExpectClose(whole, name, step, updates);
    }
    Decide(step, golden_->Real("lr"));
    cluster_->AwaitApplied(step);
    const at::Tensor after = Matrix(cluster_->Weights());
    const at::Tensor momentum = Matrix(cluster_->Moment(0));
    golden_->ExpectClose(momentum, "V", step);
    if (golden_->Flag("sampled")) {
      EXPECT_TRUE(at::equal(Moved(before, after, momentum_before, momentum), golden_->Active(step)))
          << "different classes took part in step " << step;
    }
    // W_i - W_{i-1} in float32 has the rounding errors of both: half a unit in the last place of each.
    const at::Tensor reference = golden_->Reals("W", step) - golden_->Reals("W", step - 1);
    const at::Tensor difference = after.to(at::kDouble) - before.to(at::kDouble);
    const double rounding = 6e-8 * golden_->Reals("W", step).abs().max().item<double>();
    EXPECT_LE((difference - reference).abs().max().item<double>(),
              golden_->Tolerance(step) * reference.abs().max().item<double>() + rounding);
    before = after;
    momentum_before = momentum;
  }
}

TEST_P(ShardedGolden, KeptAndRecomputedExponentialsGiveTheSameBits) {
  std::vector<std::vector<float>> results;
  for (const int64_t budget : {int64_t{0}, int64_t{1} << 20}) {
    client_.reset();
    StartCluster(budget);
    for (int step = 1; step <= golden_->steps(); ++step) {
      std::map<std::string, std::vector<at::Tensor>> parts;
      RunStep(step, &parts);
      Decide(step, golden_->Real("lr"));
      cluster_->AwaitApplied(step);
    }
    results.push_back(cluster_->Weights());
  }
  EXPECT_EQ(results[0], results[1]);
}

std::string NameOf(const testing::TestParamInfo<ShardedGolden::ParamType>& each) {
  return absl::StrCat(std::get<0>(each.param), "_", std::get<1>(each.param), "_shards_",
                      std::get<2>(each.param) == Transport::kGrpc ? "grpc" : "in_process");
}

INSTANTIATE_TEST_SUITE_P(Float32, ShardedGolden,
                         testing::Combine(testing::ValuesIn(worker::GoldenCases()), testing::Values(1, 2, 3, 5),
                                          testing::Values(Transport::kInProcess, Transport::kGrpc),
                                          testing::Values(Products::kFloat32)),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Bfloat16, ShardedGolden,
                         testing::Combine(testing::ValuesIn(worker::GoldenCases()), testing::Values(2),
                                          testing::Values(Transport::kInProcess, Transport::kGrpc),
                                          testing::Values(Products::kBfloat16)),
                         NameOf);

}  // namespace
}  // namespace arcshard
