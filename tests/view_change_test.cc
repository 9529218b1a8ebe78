#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ATen/ops/equal.h"
#include "absl/status/statusor.h"
#include "common/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/testing/training_cluster.h"
#include "worker/backbone/testing/small_conv_net.h"

// Views that come between steps and in the middle of them change no bit of the run, as long as each step is computed by
// as many workers.
namespace arcshard {
namespace {

using worker::NamedTensor;

constexpr uint64_t kSteps = 8;
constexpr double kLr = 0.01;

// Small, but with everything that a voided step could leave behind: momentum, dropout, running statistics, flips, a
// sample of the classes, and the end of an epoch.
RunConfig SmallRun() {
  RunConfig config;
  config.run.deterministic = true;
  config.data.format = "synthetic";
  config.data.synthetic_samples = 250;  // 5 batches, and 10 samples that are dropped
  config.data.image_size = 16;
  config.data.batch_size = 48;
  config.data.micro_batch_size = 8;
  config.backbone.width = 4;
  config.backbone.embedding_size = 32;
  config.backbone.dropout = 0.2;
  config.head.classes = 101;
  config.head.scale = 32;
  config.loss.margin = "adaface";
  config.loss.m = 0.4;
  config.schedule.epochs = 3;
  return config;
}

struct State {
  std::vector<std::vector<NamedTensor>> workers;
  std::vector<float> class_centers, moments;
};

struct Kind {
  const char* optimizer;
  double sample_rate;
};

class ViewChangeTest : public testing::TestWithParam<Kind> {
 protected:
  ViewChangeTest() {
    options_.config = SmallRun();
    options_.config.optimizer.kind = GetParam().optimizer;
    options_.config.head.sample_rate = GetParam().sample_rate;
    options_.backbone = [](const worker::BackboneOptions& options, size_t) {
      return std::make_unique<worker::SmallConvNet>(options);
    };
    options_.shards = 2;
    options_.workers = 2;
  }

  // Runs kSteps steps. In `disturbed` ones a view comes after the vote, and another before the first computation.
  absl::StatusOr<State> Run(const std::vector<uint64_t>& disturbed, std::optional<size_t> replaced = std::nullopt) {
    ASSIGN_OR_RETURN(const std::unique_ptr<TrainingCluster> cluster, TrainingCluster::Start(options_));
    for (const uint64_t step : disturbed) {
      RETURN_IF_ERROR(cluster->Train(step - 1, kLr));
      RETURN_IF_ERROR(cluster->EnterNextView(replaced));
      RETURN_IF_ERROR(cluster->Compute(step).status());
      RETURN_IF_ERROR(cluster->EnterNextView(replaced));
    }
    RETURN_IF_ERROR(cluster->Train(kSteps, kLr));
    State state;
    for (size_t w = 0; w < options_.workers; ++w) state.workers.push_back(cluster->State(w));
    state.class_centers = cluster->shards().Weights();
    state.moments = cluster->shards().Moment(0);
    return state;
  }

  static void ExpectSame(const absl::StatusOr<State>& got, const absl::StatusOr<State>& want) {
    ASSERT_TRUE(got.ok()) << got.status();
    ASSERT_TRUE(want.ok()) << want.status();
    for (const std::vector<NamedTensor>& worker : got->workers) {
      ASSERT_EQ(worker.size(), want->workers[0].size());
      for (size_t i = 0; i < worker.size(); ++i) {
        EXPECT_TRUE(at::equal(worker[i].tensor, want->workers[0][i].tensor)) << worker[i].name;
      }
    }
    EXPECT_EQ(got->class_centers, want->class_centers);
    EXPECT_EQ(got->moments, want->moments);
  }

  TrainingOptions options_;
};

TEST_P(ViewChangeTest, StepsThatWereVoidedAndComputedAgainGiveTheUndisturbedRun) {
  ExpectSame(Run({1, 2, 5, 6, 8}), Run({}));
}

TEST_P(ViewChangeTest, AWorkerThatCopiedTheStateOfAnotherGoesOnLikeThatOne) {
  const absl::StatusOr<State> undisturbed = Run({});
  ExpectSame(Run({4}, /*replaced=*/0), undisturbed);
  ExpectSame(Run({2, 7}, /*replaced=*/1), undisturbed);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ViewChangeTest, testing::Values(Kind{"sgd", 1.0}, Kind{"adamw", 0.3}),
                         [](const auto& kind) { return std::string(kind.param.optimizer); });

}  // namespace
}  // namespace arcshard
