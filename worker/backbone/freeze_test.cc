#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ATen/Parallel.h"
#include "ATen/ops/linspace.h"
#include "absl/strings/match.h"
#include "torch/csrc/autograd/function.h"
#include "worker/backbone/backbone.h"
#include "worker/backbone/flat_parameters.h"
#include "worker/backbone/gradient_norm.h"
#include "worker/backbone/optimizer.h"
#include "worker/backbone/step_sums.h"

namespace arcshard::worker {
namespace {

using ::testing::HasSubstr;

BackboneOptions Options(std::vector<std::string> freeze, std::string name = "iresnet18") {
  return {.name = std::move(name), .width = 2, .image_size = 16, .embedding_size = 4, .freeze = std::move(freeze)};
}

std::unique_ptr<Backbone> Frozen(std::vector<std::string> freeze) {
  auto backbone = CreateBackbone(Options(std::move(freeze)));
  EXPECT_TRUE(backbone.ok()) << backbone.status();
  return *std::move(backbone);
}

std::string Refusal(const std::string& layer, std::string name = "iresnet18") {
  const auto backbone = CreateBackbone(Options({layer}, std::move(name)));
  EXPECT_EQ(backbone.status().code(), absl::StatusCode::kInvalidArgument) << backbone.status();
  return std::string(backbone.status().message());
}

at::Tensor Images() { return at::linspace(0, 500, 4 * 3 * 16 * 16, at::kFloat).sin().view({4, 3, 16, 16}); }

// Makes one step of SGD at rate 0.1 and returns the sums.
at::Tensor Train(Backbone* backbone) {
  at::set_num_threads(1);  // several threads for tiny tensors take seconds on a busy machine
  const at::Tensor values = FlattenParameters(backbone->parameters());
  const StepSums sums(backbone->parameters(), &backbone->statistics(), 0);
  const auto embeddings = backbone->Forward(Images(), {.training = true});
  EXPECT_TRUE(embeddings.ok()) << embeddings.status();
  if (embeddings->requires_grad()) embeddings->sin().sum().backward();
  Optimizer::Create(values, SgdOptions())->Step(sums.Gradients(sums.own()), 0.1);
  backbone->statistics().Commit(sums.Statistics(sums.own()));
  return sums.own();
}

TEST(Freeze, FrozenLayersStayBitForBitAndTheOthersMoveAsIfNoneWereFrozen) {
  const auto first = Frozen({}), all = Frozen({}), some = Frozen({"conv1", "bn1", "layer1", "layer2.0.bn1.weight"});
  Train(all.get());
  Train(some.get());
  for (size_t i = 0; i < first->state_dict().size(); ++i) {
    const std::string& name = first->state_dict()[i].name;
    const at::Tensor &before = first->state_dict()[i].tensor, &after = some->state_dict()[i].tensor;
    const bool trainable = first->state_dict()[i].tensor.requires_grad();
    const bool frozen = trainable && (name == "conv1.weight" || absl::StartsWith(name, "bn1.") ||
                                      absl::StartsWith(name, "layer1.") || name == "layer2.0.bn1.weight");
    EXPECT_EQ(after.requires_grad(), trainable && !frozen) << name;
    EXPECT_TRUE(after.equal(frozen ? before : all->state_dict()[i].tensor)) << name;
  }
}

TEST(Freeze, TheSumsOfAStepHoldNoGradientOfFrozenLayers) {
  const auto all = Frozen({}), fc = Frozen({"fc"});
  EXPECT_EQ(Train(all.get()).numel() - Train(fc.get()).numel(), 16 * 4 + 4);
}

// The names of the nodes that a backward pass would visit.
std::set<std::string> GraphOf(const at::Tensor& result) {
  std::set<std::string> names;
  std::vector<const torch::autograd::Node*> open = {result.grad_fn().get()};
  while (!open.empty()) {
    const torch::autograd::Node* const node = open.back();
    open.pop_back();
    names.insert(node->name());
    for (const auto& edge : node->next_edges()) {
      if (edge.is_valid()) open.push_back(edge.function.get());
    }
  }
  return names;
}

TEST(Freeze, NoGraphIsBuiltWhereNoTrainableLayerLiesBefore) {
  const auto convolution = ::testing::Contains(HasSubstr("Convolution"));
  EXPECT_THAT(GraphOf(*Frozen({"conv1"})->Forward(Images(), {.training = true})), convolution);
  const auto tail = Frozen({"conv1", "bn1", "prelu", "layer1", "layer2", "layer3", "layer4"});
  EXPECT_THAT(GraphOf(*tail->Forward(Images(), {.training = true})), ::testing::Not(convolution));
}

TEST(Freeze, AllOfItIsAllowedAndOnlyTheStatisticsGoOn) {
  const std::vector<std::string> everything = {"conv1",  "bn1",    "prelu", "layer1", "layer2",
                                               "layer3", "layer4", "bn2",   "fc",     "features"};
  const auto before = Frozen({}), after = Frozen(everything);
  EXPECT_TRUE(after->parameters().empty());
  const at::Tensor sums = Train(after.get());
  EXPECT_EQ(sums.numel(), after->statistics().size());
  for (size_t i = 0; i < before->state_dict().size(); ++i) {
    const NamedTensor& named = before->state_dict()[i];
    const bool same = named.tensor.equal(after->state_dict()[i].tensor);
    EXPECT_EQ(same, named.tensor.requires_grad() || named.name == "features.weight") << named.name;
  }
}

TEST(Freeze, WholePartsOfANameCount) {
  const auto backbone = CreateBackbone(Options({"layer3.1"}, "iresnet50"));
  ASSERT_TRUE(backbone.ok()) << backbone.status();
  for (const NamedTensor& named : (*backbone)->parameters()) {
    EXPECT_FALSE(absl::StartsWith(named.name, "layer3.1.")) << named.name;
  }
  EXPECT_THAT((*backbone)->parameters(),
              ::testing::Contains(::testing::Field(&NamedTensor::name, "layer3.10.bn1.bias")));
}

TEST(Freeze, ANameThatNothingHasIsRefusedWithTheNearest) {
  EXPECT_EQ(
      Refusal("layr1"),
      "backbone.freeze names \"layr1\", but iresnet18 has no trainable parameter or layer of that name; the nearest "
      "one is layer1");
  EXPECT_THAT(Refusal("layer1.0.conv"), HasSubstr("the nearest one is layer1.0.conv1"));
  EXPECT_THAT(Refusal("features.weight"), HasSubstr("nearest")) << "which is always frozen";
  EXPECT_THAT(Refusal("layers.9", "mobilefacenet"),
              HasSubstr("mobilefacenet has no trainable parameter or layer of that name"));
  EXPECT_THAT(Refusal(""), HasSubstr("backbone.freeze names \"\", but iresnet18 has no"));
}

}  // namespace
}  // namespace arcshard::worker
