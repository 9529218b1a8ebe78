#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "ATen/ops/arange.h"
#include "ATen/ops/equal.h"
#include "ATen/ops/ones.h"
#include "ATen/ops/ones_like.h"
#include "ATen/ops/zeros.h"
#include "absl/strings/match.h"
#include "worker/backbone/backbone.h"
#include "worker/backbone/step_sums.h"

namespace arcshard::worker {
namespace {

using ::testing::HasSubstr;

// PyTorch's counts at 112×112 and D = 512 (tests/reference/make_backbone_case.py prints some of them).
struct Counts {
  const char* name;
  size_t keys;
  int64_t parameters;
};

class Architectures : public ::testing::TestWithParam<Counts> {};

TEST_P(Architectures, HaveTheKeysAndParametersOfTheirDefinition) {
  const auto backbone = CreateBackbone({.name = GetParam().name, .shapes_only = true});
  ASSERT_TRUE(backbone.ok()) << backbone.status();
  int64_t parameters = 0;
  for (const NamedTensor& parameter : (*backbone)->parameters()) parameters += parameter.tensor.numel();
  for (const NamedTensor& named : (*backbone)->state_dict()) {
    if (named.name == "features.weight") parameters += 512;  // PyTorch's count includes it, though it is frozen
  }
  EXPECT_EQ((*backbone)->state_dict().size(), GetParam().keys);
  EXPECT_EQ(parameters, GetParam().parameters);
}

INSTANTIATE_TEST_SUITE_P(
    All, Architectures,
    ::testing::Values(Counts{"iresnet18", 187, 24'025'600}, Counts{"iresnet34", 331, 34'139'328},
                      Counts{"iresnet50", 475, 43'590'848}, Counts{"iresnet100", 925, 65'156'160},
                      Counts{"iresnet200", 1807, 118'833'920}, Counts{"faceresnet18", 182, 24'022'601},
                      Counts{"faceresnet34", 326, 34'134'481}, Counts{"faceresnet50", 470, 43'583'961},
                      Counts{"faceresnet100", 920, 65'144'050}, Counts{"mobilefacenet", 333, 2'059'520}),
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

TEST(FaceResNet, HasIResNetsNamesButNoBatchNormBehindTheLinearLayerAndOneSlopePerLayer) {
  const auto face = CreateBackbone({.name = "faceresnet18", .width = 4, .image_size = 16, .embedding_size = 8});
  const auto iresnet = CreateBackbone({.name = "iresnet18", .width = 4, .image_size = 16, .embedding_size = 8});
  ASSERT_TRUE(face.ok() && iresnet.ok());
  EXPECT_EQ((*face)->state_dict().back().name, "fc.bias");
  for (size_t i = 0; i < (*face)->state_dict().size(); ++i) {
    const NamedTensor& named = (*face)->state_dict()[i];
    EXPECT_EQ(named.name, (*iresnet)->state_dict()[i].name);
    if (absl::StrContains(named.name, "prelu")) {
      EXPECT_EQ(named.tensor.numel(), 1) << named.name;
    }
  }
}

// The distribution of MXNet's Xavier(rnd_type="gaussian", factor_type="out", magnitude=2), which InsightFace's
// mobilefacenet uses too.
TEST(FirstWeights, OfFaceResNetAndMobileFaceNetHaveTheDeviationOfTheFanOutAndBiasesOfZero) {
  for (const char* name : {"faceresnet18", "mobilefacenet"}) {
    const auto backbone = CreateBackbone({.name = name, .width = 16, .image_size = 16, .embedding_size = 64});
    ASSERT_TRUE(backbone.ok()) << backbone.status();
    for (const NamedTensor& named : (*backbone)->parameters()) {
      const at::Tensor& tensor = named.tensor;
      if (tensor.dim() == 1) {
        const double first = absl::EndsWith(named.name, "bias") ? 0 : tensor[0].item<double>();
        EXPECT_TRUE(tensor.eq(first).all().item<bool>()) << named.name;
      } else {
        const double fan_out = tensor.dim() == 4 ? tensor.size(0) * tensor.size(2) * tensor.size(3) : tensor.size(0);
        const double noise = 5 / std::sqrt(2.0 * tensor.numel());  // five standard deviations of a sample's deviation
        EXPECT_NEAR(tensor.square().mean().sqrt().item<double>() / std::sqrt(2 / fan_out), 1, noise) << named.name;
      }
    }
  }
}

TEST(MobileFaceNet, NamesAndOrderAreThoseOfPyTorchsStateDictAndTheLastKernelCoversWhatIsLeftOfTheImage) {
  const auto backbone = CreateBackbone({.name = "mobilefacenet", .width = 4, .image_size = 48, .embedding_size = 8});
  ASSERT_TRUE(backbone.ok()) << backbone.status();
  std::vector<std::string> names;
  for (const NamedTensor& named : (*backbone)->state_dict()) {
    if (!absl::EndsWith(named.name, "num_batches_tracked")) names.push_back(named.name);
    if (named.name == "layers.1.layers.0.weight") {
      EXPECT_EQ(named.tensor.sizes(), (std::vector<int64_t>{8, 2, 3, 3}));
    }
    if (named.name == "features.layers.0.layers.0.weight") {
      EXPECT_EQ(named.tensor.sizes(), (std::vector<int64_t>{32, 1, 3, 3}));
    }
  }
  const std::vector<std::string> first = {"layers.0.layers.0.weight",      "layers.0.layers.1.weight",
                                          "layers.0.layers.1.bias",        "layers.0.layers.1.running_mean",
                                          "layers.0.layers.1.running_var", "layers.0.layers.2.weight",
                                          "layers.1.layers.0.weight"};
  const std::vector<std::string> last = {"features.layers.0.layers.1.running_var",
                                         "features.layers.2.weight",
                                         "features.layers.3.weight",
                                         "features.layers.3.bias",
                                         "features.layers.3.running_mean",
                                         "features.layers.3.running_var"};
  EXPECT_TRUE(std::equal(first.begin(), first.end(), names.begin()));
  EXPECT_TRUE(std::equal(last.rbegin(), last.rend(), names.rbegin()));
  EXPECT_THAT(names, ::testing::IsSupersetOf({"layers.2.layers.2.layers.1.bias", "conv_sep.layers.2.weight",
                                              "layers.5.layers.5.layers.1.layers.2.weight"}));
}

TEST(NoNetwork, AnEmbeddingIsTheFirstValuesOfItsImageAndNothingIsTrained) {
  const auto backbone = CreateBackbone({.name = "none", .image_size = 16, .embedding_size = 300});
  ASSERT_TRUE(backbone.ok()) << backbone.status();
  EXPECT_TRUE((*backbone)->state_dict().empty());
  EXPECT_EQ((*backbone)->statistics().size(), 0);
  const at::Tensor images = at::arange(2 * 3 * 16 * 16, at::kFloat).view({2, 3, 16, 16});
  ForwardContext context;
  context.training = true;
  const auto embeddings = (*backbone)->Forward(images, context);
  ASSERT_TRUE(embeddings.ok()) << embeddings.status();
  EXPECT_FALSE(embeddings->requires_grad());
  EXPECT_TRUE(at::equal(*embeddings, images.flatten(1).slice(1, 0, 300)));
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
  EXPECT_THAT(message({.name = "iresnet19"}), ::testing::AllOf(HasSubstr("iresnet19"), HasSubstr("iresnet18"),
                                                               HasSubstr("faceresnet100, mobilefacenet and none")));
  EXPECT_THAT(message({.name = "iresnet18", .image_size = 100}), HasSubstr("multiple of 16"));
  EXPECT_THAT(message({.name = "iresnet18", .image_size = 0}), HasSubstr("image size is 0"));
  EXPECT_THAT(message({.name = "iresnet18", .width = 0}), HasSubstr("width is 0"));
  EXPECT_THAT(message({.name = "iresnet18", .embedding_size = -1}), HasSubstr("embedding size is -1"));
  EXPECT_THAT(message({.name = "iresnet18", .dropout = 1.0}), HasSubstr("dropout is 1"));
  EXPECT_THAT(message({.name = "mobilefacenet", .dropout = 0.4}), HasSubstr("mobilefacenet has no dropout layer"));
  EXPECT_THAT(message({.name = "mobilefacenet", .image_size = 120}), HasSubstr("multiple of 16"));
  EXPECT_THAT(message({.name = "none", .image_size = 16, .embedding_size = 769}), HasSubstr("can be at most 768"));
  EXPECT_THAT(message({.name = "none", .dropout = 0.4}), HasSubstr("none has no dropout layer"));
  EXPECT_THAT(message({.name = "none", .freeze = {"conv1"}}), HasSubstr("none has nothing that is trained"));
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
  EXPECT_THAT(refusal(at::zeros({1, 3, 16, 16}, at::kFloat), true), HasSubstr("step 3, micro-batch 2 has 1 samples"));
}

TEST(IResNet, EvaluationBuildsNoGraphAndDepositsNothing) {
  const auto backbone = CreateBackbone({.name = "iresnet18", .width = 4, .image_size = 16, .embedding_size = 8});
  const auto embeddings = (*backbone)->Forward(at::zeros({1, 3, 16, 16}, at::kFloat), {.training = false});
  ASSERT_TRUE(embeddings.ok()) << embeddings.status();
  EXPECT_EQ(embeddings->sizes(), (std::vector<int64_t>{1, 8}));
  EXPECT_FALSE(embeddings->requires_grad());
  EXPECT_TRUE((*backbone)->statistics().pending().eq(0).all().item<bool>());
}

// LibTorch's convolutions of few channels have been wrong on some processors (Conv2d::Forward).
TEST(Architectures, OfAnyWidthGiveFiniteEmbeddingsAndGradients) {
  for (const char* name : {"iresnet18", "faceresnet18", "mobilefacenet"}) {
    for (const int64_t width : {2, 3, 4, 5, 6, 7, 8, 9}) {
      const auto backbone = CreateBackbone({.name = name, .width = width, .image_size = 16, .embedding_size = 8});
      ASSERT_TRUE(backbone.ok()) << backbone.status();
      const StepSums sums((*backbone)->parameters(), &(*backbone)->statistics(), 0);
      const auto embeddings = (*backbone)->Forward(at::ones({4, 3, 16, 16}, at::kFloat), {.training = true});
      ASSERT_TRUE(embeddings.ok()) << embeddings.status();
      embeddings->backward(at::ones_like(*embeddings));
      EXPECT_TRUE(AllFinite(embeddings->detach())) << name << " of width " << width;
      EXPECT_TRUE(AllFinite(sums.Gradients(sums.own()))) << name << " of width " << width;
    }
  }
}

}  // namespace
}  // namespace arcshard::worker
