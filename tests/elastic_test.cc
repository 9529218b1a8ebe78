#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "ATen/TensorOperators.h"
#include "ATen/ops/equal.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "tests/testing/training_cluster.h"
#include "worker/backbone/testing/small_conv_net.h"

// The numbers of shards and workers change nothing but rounding: compares runs on Omniglot with K shards and M workers
// with a run of one shard and one worker.
namespace arcshard {
namespace {

// The differences must stay as small as rounding for fifty steps. With momentum 0.9, or with class centers of few
// dimensions (their first norm is 0.01·√D, against which a step of lr 0.01 is large), training amplifies it: 1e-7 after
// a step became 4e-6 after ten and 1e-3 after fifty. Momentum is checked against the reference cases (Golden).
RunConfig SmallRun() {
  RunConfig config;
  config.data.train = ARCSHARD_SOURCE_DIR "/examples/omniglot/data";
  config.data.image_size = 16;
  config.data.batch_size = 96;
  config.data.micro_batch_size = 16;  // six micro-batches: shares of 6, 3 and 2
  config.backbone.width = 8;
  config.backbone.embedding_size = 512;
  config.head.scale = 32;
  config.loss.margin = "cosface";
  config.loss.m = 0.4;
  config.optimizer.momentum = 0;
  config.run.deterministic = true;
  return config;
}

struct Result {
  at::Tensor model;  // the same on every worker
  at::Tensor class_centers;
};

Result Train(const TrainingOptions& options, uint64_t steps, double lr) {
  auto cluster = TrainingCluster::Start(options);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  if (!cluster.ok()) return {};
  const absl::Status status = (*cluster)->Train(steps, lr);
  EXPECT_TRUE(status.ok()) << status;
  for (size_t w = 1; w < options.workers; ++w) {
    EXPECT_TRUE(at::equal((*cluster)->Model(0), (*cluster)->Model(w)))
        << "worker " << w << " has another model than worker 0";
  }
  return {(*cluster)->Model(0), (*cluster)->ClassCenters()};
}

TrainingOptions WithSmallBackbone(size_t shards, size_t workers, Transport transport = Transport::kInProcess) {
  return {.config = SmallRun(),
          .shards = shards,
          .workers = workers,
          .transport = transport,
          .backbone = [](const worker::BackboneOptions& options, size_t) {
            return std::make_unique<worker::SmallConvNet>(options);
          }};
}

// The largest difference as a share of the largest weight.
double Distance(const at::Tensor& got, const at::Tensor& reference) {
  return ((got - reference).abs().max() / reference.abs().max()).item<double>();
}

constexpr double kRounding = 1e-5;
constexpr uint64_t kSteps = 50;
constexpr double kLr = 0.01;

class Elastic : public testing::TestWithParam<std::tuple<size_t, size_t>> {
 protected:
  static void SetUpTestSuite() { static_run_ = new Result(Train(WithSmallBackbone(1, 1), kSteps, kLr)); }
  static void TearDownTestSuite() {
    delete static_run_;
    static_run_ = nullptr;
  }
  static Result* static_run_;  // one shard, one worker
};
Result* Elastic::static_run_ = nullptr;

TEST_P(Elastic, FiftyStepsEqualThoseOfOneShardAndOneWorker) {
  const auto [shards, workers] = GetParam();
  const Result result = Train(WithSmallBackbone(shards, workers), kSteps, kLr);
  EXPECT_LE(Distance(result.model, static_run_->model), kRounding);
  EXPECT_LE(Distance(result.class_centers, static_run_->class_centers), kRounding);
}

INSTANTIATE_TEST_SUITE_P(Runs, Elastic, testing::Combine(testing::Values(1, 2, 3, 5), testing::Values(1, 2, 3)),
                         [](const auto& each) {
                           return absl::StrCat(std::get<0>(each.param), "_shards_", std::get<1>(each.param),
                                               "_workers");
                         });

// A step of AdamW has the size of lr whatever the size of its gradient, so a gradient that consists of rounding errors
// becomes a whole step; epsilon limits that. The first moment amplifies rounding as momentum does.
RunConfig AdamWRun() {
  RunConfig config = SmallRun();
  config.optimizer.kind = "adamw";
  config.optimizer.beta1 = 0.5;
  config.optimizer.epsilon = 1e-1;
  return config;
}

RunConfig SampledRun() {
  RunConfig config = SmallRun();
  config.head.sample_rate = 0.1;
  return config;
}

TEST(ElasticTest, RunsWithSampledClassesOrAdamWEqualThoseOfOneShardAndOneWorker) {
  constexpr uint64_t kFewSteps = 10;
  for (const RunConfig& config : {SampledRun(), AdamWRun()}) {
    SCOPED_TRACE(config.optimizer.kind);
    TrainingOptions options = WithSmallBackbone(1, 1);
    options.config = config;
    const Result before = Train(options, 0, kLr);
    const Result reference = Train(options, kFewSteps, kLr);
    EXPECT_GE(Distance(reference.model, before.model), 1000 * kRounding);
    EXPECT_GE(Distance(reference.class_centers, before.class_centers), 1000 * kRounding);
    for (const auto& [shards, workers] : {std::pair<size_t, size_t>{1, 2}, {3, 1}, {3, 2}}) {
      options.shards = shards;
      options.workers = workers;
      const Result result = Train(options, kFewSteps, kLr);
      EXPECT_LE(Distance(result.model, reference.model), kRounding) << shards << " shards, " << workers << " workers";
      EXPECT_LE(Distance(result.class_centers, reference.class_centers), kRounding)
          << shards << " shards, " << workers << " workers";
    }
  }
}

TEST(ElasticTest, FiftyStepsChangeTheModelByMuchMoreThanRounding) {
  const Result before = Train(WithSmallBackbone(1, 1), 0, kLr);
  const Result after = Train(WithSmallBackbone(1, 1), kSteps, kLr);
  EXPECT_GE(Distance(after.model, before.model), 1000 * kRounding);
  EXPECT_GE(Distance(after.class_centers, before.class_centers), 1000 * kRounding);
}

TrainingOptions WithWire(const char* wire, Transport transport) {
  TrainingOptions options = WithSmallBackbone(3, 2, transport);
  options.config.cluster.wire = wire;
  return options;
}

// cluster.wire, and for how many steps.
constexpr std::pair<const char*, uint64_t> kWires[] = {{"float32", kSteps}, {"bfloat16", 5}};

TEST(ElasticTest, ADeterministicRunGivesTheSameBitsTwice) {
  for (const auto& [wire, steps] : kWires) {
    const Result first = Train(WithWire(wire, Transport::kGrpc), steps, kLr);
    const Result second = Train(WithWire(wire, Transport::kGrpc), steps, kLr);
    EXPECT_TRUE(at::equal(first.model, second.model)) << wire;
    EXPECT_TRUE(at::equal(first.class_centers, second.class_centers)) << wire;
  }
}

TEST(ElasticTest, BothTransportsGiveTheSameBits) {
  for (const auto& [wire, steps] : kWires) {
    const Result in_process = Train(WithWire(wire, Transport::kInProcess), steps, kLr);
    const Result grpc = Train(WithWire(wire, Transport::kGrpc), steps, kLr);
    EXPECT_TRUE(at::equal(in_process.model, grpc.model)) << wire;
    EXPECT_TRUE(at::equal(in_process.class_centers, grpc.class_centers)) << wire;
  }
}

// The first step of SGD without momentum is its gradient. A value of bfloat16 has 8 bits.
TEST(ElasticTest, Bfloat16OnTheWireChangesLossAndGradientsByItsRounding) {
  struct Step {
    double loss;
    at::Tensor model, class_centers;  // how far they have moved
  };
  const auto first_step = [](const char* wire) -> Step {
    auto cluster = TrainingCluster::Start(WithWire(wire, Transport::kGrpc));
    EXPECT_TRUE(cluster.ok()) << cluster.status();
    const at::Tensor model = (*cluster)->Model(0), class_centers = (*cluster)->ClassCenters();
    const auto vote = (*cluster)->Compute(1);
    EXPECT_TRUE(vote.ok()) << vote.status();
    const absl::Status decided = (*cluster)->Decide(1, Outcome::kCommit, kLr);
    EXPECT_TRUE(decided.ok()) << decided;
    return {vote->loss, (*cluster)->Model(0) - model, (*cluster)->ClassCenters() - class_centers};
  };
  const auto error = [](const at::Tensor& got, const at::Tensor& want) {
    return ((got - want).norm() / want.norm()).item<double>();
  };
  const Step exact = first_step("float32"), rounded = first_step("bfloat16");
  for (const double relative : {std::abs(rounded.loss / exact.loss - 1), error(rounded.model, exact.model),
                                error(rounded.class_centers, exact.class_centers)}) {
    EXPECT_LE(relative, 0x1p-8);
    EXPECT_GT(relative, 0) << "nothing was rounded";
  }
}

TEST(ElasticTest, OneStepOfIResNet18EqualsThatOfOneShardAndOneWorker) {
  TrainingOptions options{
      .config = SmallRun(), .shards = 1, .workers = 1, .transport = Transport::kInProcess, .backbone = {}};
  options.config.backbone.name = "iresnet18";
  options.config.backbone.width = 16;
  options.config.data.image_size = 32;
  const Result reference = Train(options, 1, kLr);
  for (const auto& [shards, workers] : {std::pair<size_t, size_t>{2, 3}, {3, 2}, {5, 1}}) {
    options.shards = shards;
    options.workers = workers;
    const Result result = Train(options, 1, kLr);
    EXPECT_LE(Distance(result.model, reference.model), kRounding) << shards << " shards, " << workers << " workers";
    EXPECT_LE(Distance(result.class_centers, reference.class_centers), kRounding)
        << shards << " shards, " << workers << " workers";
  }
}

}  // namespace
}  // namespace arcshard
