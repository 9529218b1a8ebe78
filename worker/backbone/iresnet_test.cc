#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ATen/ops/empty.h"
#include "ATen/ops/zeros.h"
#include "absl/strings/numbers.h"
#include "common/io/safetensors.h"
#include "worker/backbone/backbone.h"
#include "worker/backbone/sgd.h"
#include "worker/backbone/step_sums.h"

namespace arcshard::worker {
namespace {

using ::testing::HasSubstr;

// Counts of InsightFace's networks at 112×112, D = 512.
struct Counts {
  const char* name;
  size_t keys;
  int64_t parameters;
};

class IResNetCounts : public ::testing::TestWithParam<Counts> {};

TEST_P(IResNetCounts, AreInsightFaces) {
  const auto backbone = CreateBackbone({.name = GetParam().name, .shapes_only = true});
  ASSERT_TRUE(backbone.ok()) << backbone.status();
  int64_t trainable = 0;
  for (const NamedTensor& parameter : (*backbone)->parameters()) trainable += parameter.tensor.numel();
  EXPECT_EQ((*backbone)->state_dict().size(), GetParam().keys);
  EXPECT_EQ(trainable + 512, GetParam().parameters) << "PyTorch counts features.weight, frozen, as a parameter too";
}

INSTANTIATE_TEST_SUITE_P(AllDepths, IResNetCounts,
                         ::testing::Values(Counts{"iresnet18", 187, 24'025'600}, Counts{"iresnet34", 331, 34'139'328},
                                           Counts{"iresnet50", 475, 43'590'848}, Counts{"iresnet100", 925, 65'156'160},
                                           Counts{"iresnet200", 1807, 118'833'920}),
                         [](const auto& counts) { return std::string(counts.param.name); });

TEST(IResNet, NamesAndOrderAreThoseOfPyTorchsStateDict) {
  const auto backbone = CreateBackbone({.name = "iresnet18", .width = 4, .image_size = 16, .embedding_size = 8});
  ASSERT_TRUE(backbone.ok()) << backbone.status();
  std::vector<std::string> names;
  for (const NamedTensor& named : (*backbone)->state_dict()) names.push_back(named.name);
  const std::vector<std::string> first = {"conv1.weight",
                                          "bn1.weight",
                                          "bn1.bias",
                                          "bn1.running_mean",
                                          "bn1.running_var",
                                          "bn1.num_batches_tracked",
                                          "prelu.weight",
                                          "layer1.0.bn1.weight",
                                          "layer1.0.bn1.bias",
                                          "layer1.0.bn1.running_mean",
                                          "layer1.0.bn1.running_var",
                                          "layer1.0.bn1.num_batches_tracked",
                                          "layer1.0.conv1.weight",
                                          "layer1.0.bn2.weight"};
  const std::vector<std::string> last = {"fc.weight",
                                         "fc.bias",
                                         "features.weight",
                                         "features.bias",
                                         "features.running_mean",
                                         "features.running_var",
                                         "features.num_batches_tracked"};
  EXPECT_TRUE(std::equal(first.begin(), first.end(), names.begin()));
  EXPECT_TRUE(std::equal(last.rbegin(), last.rend(), names.rbegin()));
  EXPECT_THAT(names, ::testing::IsSupersetOf({"layer4.0.downsample.0.weight", "layer4.0.downsample.1.running_var",
                                              "layer1.1.prelu.weight", "layer2.0.bn3.bias"}));
}

TEST(IResNet, EveryTrainableParameterIsInTheStateInTheSameOrderAndFeaturesWeightIsFrozen) {
  const auto backbone = CreateBackbone({.name = "iresnet18", .width = 4, .image_size = 16, .embedding_size = 8});
  ASSERT_TRUE(backbone.ok()) << backbone.status();
  auto next = (*backbone)->parameters().begin();
  for (const NamedTensor& named : (*backbone)->state_dict()) {
    EXPECT_EQ(named.tensor.requires_grad(), next != (*backbone)->parameters().end() && next->name == named.name);
    if (named.tensor.requires_grad()) {
      EXPECT_TRUE((next++)->tensor.is_same(named.tensor));
    }
    if (named.name == "features.weight") {
      EXPECT_FALSE(named.tensor.requires_grad());
      EXPECT_TRUE(named.tensor.eq(1).all().item<bool>());
    }
  }
  EXPECT_EQ(next, (*backbone)->parameters().end());
}

TEST(IResNet, SameSeedGivesTheSameBitsAndAnotherSeedOthers) {
  BackboneOptions options{.name = "iresnet18", .width = 4, .image_size = 16, .embedding_size = 8, .seed = 5};
  const auto a = CreateBackbone(options), b = CreateBackbone(options);
  options.seed = 6;
  const auto c = CreateBackbone(options);
  for (size_t i = 0; i < (*a)->state_dict().size(); ++i) {
    const NamedTensor& named = (*a)->state_dict()[i];
    EXPECT_TRUE(named.tensor.equal((*b)->state_dict()[i].tensor)) << named.name;
    if (named.tensor.dim() == 4) {
      EXPECT_FALSE(named.tensor.equal((*c)->state_dict()[i].tensor)) << named.name;
    }
  }
}

TEST(IResNet, OptionsOutOfRangeAreRefusedWithWhatIsAllowed) {
  const auto message = [](const BackboneOptions& options) {
    const auto backbone = CreateBackbone(options);
    EXPECT_EQ(backbone.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(backbone.status().message());
  };
  EXPECT_THAT(message({.name = "iresnet19"}),
              ::testing::AllOf(HasSubstr("iresnet19"), HasSubstr("iresnet18"), HasSubstr("iresnet200")));
  EXPECT_THAT(message({.name = "iresnet18", .image_size = 100}), HasSubstr("multiple of 16"));
  EXPECT_THAT(message({.name = "iresnet18", .image_size = 0}), HasSubstr("image size is 0"));
  EXPECT_THAT(message({.name = "iresnet18", .width = 0}), HasSubstr("width is 0"));
  EXPECT_THAT(message({.name = "iresnet18", .embedding_size = -1}), HasSubstr("embedding size is -1"));
  EXPECT_THAT(message({.name = "iresnet18", .dropout = 1.0}), HasSubstr("dropout is 1"));
}

TEST(IResNet, ImagesOfAnotherShapeAndASingleSampleInTrainingAreRefused) {
  const auto backbone = CreateBackbone({.name = "iresnet18", .width = 4, .image_size = 16, .embedding_size = 8});
  const auto refusal = [&](const at::Tensor& images, bool training) {
    const auto embeddings = (*backbone)->Forward(images, {.training = training, .step = 3, .micro_batch = 2});
    EXPECT_EQ(embeddings.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(embeddings.status().message());
  };
  EXPECT_THAT(refusal(at::zeros({2, 3, 32, 32}, at::kFloat), false), HasSubstr("not Float of shape 2×3×32×32"));
  EXPECT_THAT(refusal(at::zeros({2, 3, 16, 16}, at::kDouble), false), HasSubstr("not Double"));
  EXPECT_THAT(refusal(at::zeros({1, 3, 16, 16}, at::kFloat), true),
              HasSubstr("step 3, micro-batch 2: it has 1 samples"));
}

TEST(IResNet, EvaluationBuildsNoGraphAndDepositsNothing) {
  const auto backbone = CreateBackbone({.name = "iresnet18", .width = 4, .image_size = 16, .embedding_size = 8});
  const auto embeddings = (*backbone)->Forward(at::zeros({1, 3, 16, 16}, at::kFloat), {.training = false});
  ASSERT_TRUE(embeddings.ok()) << embeddings.status();
  EXPECT_EQ(embeddings->sizes(), (std::vector<int64_t>{1, 8}));
  EXPECT_FALSE(embeddings->requires_grad());
  EXPECT_TRUE((*backbone)->statistics().pending().eq(0).all().item<bool>());
}

// Three training steps that PyTorch made and tests/reference/make_iresnet_case.py recorded.
class RecordedIResNet18 : public ::testing::Test {
 protected:
  void SetUp() override {
    auto file = SafetensorsFile::Open(ARCSHARD_SOURCE_DIR "/tests/data/iresnet18_small.safetensors");
    ASSERT_TRUE(file.ok()) << file.status();
    file_.emplace(*std::move(file));
    auto backbone = CreateBackbone({.name = "iresnet18",
                                    .width = static_cast<int64_t>(Number("width")),
                                    .image_size = static_cast<int64_t>(Number("image_size")),
                                    .embedding_size = static_cast<int64_t>(Number("embedding_size"))});
    ASSERT_TRUE(backbone.ok()) << backbone.status();
    backbone_ = *std::move(backbone);
    for (const NamedTensor& named : backbone_->state_dict()) {
      if (named.tensor.scalar_type() == at::kFloat) named.tensor.detach().copy_(Recorded("before." + named.name));
    }
  }

  at::Tensor Recorded(const std::string& name) const {
    const auto entry = file_->Find(name);
    const auto values = file_->Read<float>(name);
    EXPECT_TRUE(values.ok()) << values.status();
    at::Tensor tensor = at::empty((*entry)->shape, at::kFloat);
    std::copy(values->begin(), values->end(), tensor.mutable_data_ptr<float>());
    return tensor;
  }

  double Number(const std::string& key) const {
    double number = 0;
    EXPECT_TRUE(absl::SimpleAtod(file_->metadata().at(key), &number)) << key;
    return number;
  }

  // |Δ| ≤ tolerance·max|expected| + noise
  static void ExpectClose(const at::Tensor& actual, const at::Tensor& expected, double tolerance, double noise,
                          const std::string& name) {
    ASSERT_EQ(actual.sizes(), expected.sizes()) << name;
    EXPECT_LE(actual.sub(expected).abs().max().item<double>(), tolerance * expected.abs().max().item<double>() + noise)
        << name;
  }

  std::optional<SafetensorsFile> file_;
  std::unique_ptr<Backbone> backbone_;
};

TEST_F(RecordedIResNet18, EmbeddingsAndAllGradientsEqualPyTorchs) {
  const StepSums sums(backbone_->parameters(), &backbone_->statistics(), 0);
  const auto embeddings = backbone_->Forward(Recorded("images"), {.training = true});
  ASSERT_TRUE(embeddings.ok()) << embeddings.status();
  ExpectClose(embeddings->detach(), Recorded("train_output"), 1e-4, 0, "embeddings");
  embeddings->backward(Recorded("direction"));
  // BatchNorm removes a constant, so the gradient of a bias before it is rounding and nothing else.
  double largest = 0;
  for (const NamedTensor& parameter : backbone_->parameters()) {
    largest = std::max(largest, Recorded("gradient." + parameter.name).abs().max().item<double>());
  }
  for (const NamedTensor& parameter : backbone_->parameters()) {
    ExpectClose(parameter.tensor.grad(), Recorded("gradient." + parameter.name), 1e-4, 1e-6 * largest, parameter.name);
  }
}

TEST_F(RecordedIResNet18, ThreeClippedSgdStepsEqualPyTorchs) {
  const at::Tensor values = FlattenParameters(backbone_->parameters());
  StepSums sums(backbone_->parameters(), &backbone_->statistics(), 0);
  Sgd sgd(values, {.momentum = Number("momentum"), .weight_decay = Number("weight_decay")});
  const at::Tensor images = Recorded("images"), direction = Recorded("direction"), norms = Recorded("norm");
  const auto steps = static_cast<int64_t>(Number("steps"));
  for (int64_t step = 0; step < steps; ++step) {
    sums.Zero();
    const auto embeddings = backbone_->Forward(images, {.training = true});
    ASSERT_TRUE(embeddings.ok()) << embeddings.status();
    embeddings->backward(direction);
    const at::Tensor gradient = sums.Gradients(sums.own());
    const double norm = Norm2(gradient);
    EXPECT_NEAR(norm / norms[step].item<double>(), 1, 1e-3);
    ClipGradNorm(norm, Number("max_norm"), gradient);
    sgd.Step(gradient, Number("lr"));
    backbone_->statistics().Commit(sums.Statistics(sums.own()));
  }
  double largest = 0;
  for (const NamedTensor& named : backbone_->parameters()) {
    const at::Tensor moved = Recorded("after." + named.name).sub(Recorded("before." + named.name));
    largest = std::max(largest, moved.abs().max().item<double>());
  }
  for (const NamedTensor& named : backbone_->state_dict()) {
    if (named.tensor.scalar_type() == at::kLong) {
      EXPECT_EQ(named.tensor.item<int64_t>(), steps) << named.name;
      continue;
    }
    const at::Tensor before = Recorded("before." + named.name);
    ExpectClose(named.tensor.detach().sub(before), Recorded("after." + named.name).sub(before), 1e-3, 1e-4 * largest,
                named.name);
  }
  const auto embeddings = backbone_->Forward(images, {.training = false});
  ASSERT_TRUE(embeddings.ok()) << embeddings.status();
  ExpectClose(*embeddings, Recorded("eval_output"), 1e-4, 0, "embeddings in evaluation mode");
}

}  // namespace
}  // namespace arcshard::worker
