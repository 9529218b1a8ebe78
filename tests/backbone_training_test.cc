#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/TensorOperators.h"
#include "ATen/ops/equal.h"
#include "test_paths.h"
#include "tests/testing/training_cluster.h"
#include "worker/backbone/backbone.h"

// Runs on Omniglot with the options of a backbone: they work together, and one worker and two give the same step up to
// rounding.
namespace arcshard {
namespace {

TrainingOptions FaceResNet18(size_t shards, size_t workers) {
  RunConfig config;
  config.data.train = ARCSHARD_SOURCE_DIR "/examples/omniglot/data";
  config.data.image_size = 16;
  config.data.batch_size = 32;
  config.data.micro_batch_size = 8;
  config.backbone.name = "faceresnet18";
  config.backbone.width = 4;
  config.backbone.embedding_size = 64;
  config.head.standardize = true;
  config.run.deterministic = true;
  return {.config = config, .shards = shards, .workers = workers, .transport = Transport::kInProcess, .backbone = {}};
}

struct Result {
  at::Tensor model, class_centers;
};

Result Train(const TrainingOptions& options, uint64_t steps, double lr) {
  auto cluster = TrainingCluster::Start(options);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  if (!cluster.ok()) return {};
  const absl::Status status = (*cluster)->Train(steps, lr);
  EXPECT_TRUE(status.ok()) << status;
  for (size_t w = 1; w < options.workers; ++w) {
    EXPECT_TRUE(at::equal((*cluster)->Model(0), (*cluster)->Model(w))) << "worker " << w << " has another model";
  }
  return {(*cluster)->Model(0), (*cluster)->ClassCenters()};
}

void ExpectEqualButForRounding(const Result& got, const Result& reference) {
  const auto distance = [](const at::Tensor& a, const at::Tensor& b) {
    return ((a - b).abs().max() / b.abs().max()).item<double>();
  };
  EXPECT_LE(distance(got.model, reference.model), 1e-5);
  EXPECT_LE(distance(got.class_centers, reference.class_centers), 1e-5);
}

TEST(BackboneTraining, AStepInBfloat16WithDropoutAndFrozenLayersEqualsThatOfOneWorker) {
  TrainingOptions one = FaceResNet18(1, 1), two = FaceResNet18(2, 2);
  for (RunConfig* config : {&one.config, &two.config}) {
    config->backbone.compute = "bfloat16";
    config->backbone.freeze = {"conv1", "layer1"};
  }
  const Result reference = Train(one, 1, 0.01);
  ExpectEqualButForRounding(Train(two, 1, 0.01), reference);
  one.config.backbone.dropout = 0;
  EXPECT_FALSE(at::equal(Train(one, 1, 0.01).model, reference.model)) << "auto drops, as Omniglot has few classes";
}

TEST(BackboneTraining, AdamWMovesEveryParameterByTheRateOfItsStepAndAllWorkersAlike) {
  TrainingOptions options = FaceResNet18(2, 2);
  options.config.optimizer.kind = "adamw";
  options.config.optimizer.weight_decay = 0;
  std::vector<worker::Backbone*> backbones(options.workers);
  options.backbone = [&](const worker::BackboneOptions& backbone,
                         size_t w) -> absl::StatusOr<std::unique_ptr<worker::Backbone>> {
    auto made = worker::CreateBackbone(backbone);
    if (made.ok()) backbones[w] = made->get();
    return made;
  };
  auto cluster = TrainingCluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  std::vector<at::Tensor> before;
  for (const auto& parameter : backbones[0]->parameters()) before.push_back(parameter.tensor.detach().clone());
  constexpr double kLr = 1.0 / 1024;
  ASSERT_TRUE((*cluster)->Train(1, kLr).ok());
  for (size_t i = 0; i < before.size(); ++i) {
    // The first step of Adam is lr·g/(|g| + epsilon).
    const at::Tensor moved = (backbones[0]->parameters()[i].tensor.detach() - before[i]).abs();
    EXPECT_LE(moved.max().item<double>(), kLr * 1.001) << backbones[0]->parameters()[i].name;
  }
  const at::Tensor moved = (backbones[0]->parameters()[0].tensor.detach() - before[0]).abs();
  EXPECT_GE(moved.median().item<double>(), kLr * 0.99);
  EXPECT_TRUE(at::equal((*cluster)->Model(0), (*cluster)->Model(1)));
}

TEST(BackboneTraining, WithEverythingFrozenTheHeadAloneLearns) {
  TrainingOptions options = FaceResNet18(2, 2);
  options.config.backbone.freeze = {"conv1", "bn1", "prelu", "layer1", "layer2", "layer3", "layer4", "bn2", "fc"};
  worker::Backbone* first = nullptr;
  options.backbone = [&](const worker::BackboneOptions& backbone,
                         size_t w) -> absl::StatusOr<std::unique_ptr<worker::Backbone>> {
    auto made = worker::CreateBackbone(backbone);
    if (made.ok() && w == 0) first = made->get();
    return made;
  };
  auto cluster = TrainingCluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const auto weights = [&] {
    std::vector<at::Tensor> values;
    for (const auto& named : first->state_dict()) {
      const bool averaged = named.name.find("running_") != std::string::npos;
      if (named.tensor.is_floating_point() && !averaged) values.push_back(named.tensor.detach().clone());
    }
    return values;
  };
  const std::vector<at::Tensor> before = weights();
  const at::Tensor centers = (*cluster)->ClassCenters();
  const absl::Status status = (*cluster)->Train(2, 0.1);
  ASSERT_TRUE(status.ok()) << status;
  const std::vector<at::Tensor> after = weights();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(after[i], before[i]));
  EXPECT_FALSE(at::equal((*cluster)->ClassCenters(), centers));
}

}  // namespace
}  // namespace arcshard
