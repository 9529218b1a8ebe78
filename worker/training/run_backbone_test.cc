#include "worker/training/run_backbone.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <variant>

#include "worker/backbone/backbone_file.h"

namespace arcshard::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

RunConfig Small(const std::string& name) {
  RunConfig config;
  config.backbone.name = name;
  config.backbone.width = 2;
  config.backbone.embedding_size = 4;
  config.data.image_size = 16;
  return config;
}

TEST(BackboneOptionsOf, AutomaticDropoutIsThatOfAFaceResNetForFewClassesAndANumberIsANumber) {
  RunConfig config = Small("faceresnet18");
  EXPECT_EQ(BackboneOptionsOf(config, 20'000).dropout, 0.4);
  EXPECT_EQ(BackboneOptionsOf(config, 20'001).dropout, 0);
  config.backbone.dropout = 0;
  EXPECT_EQ(BackboneOptionsOf(config, 100).dropout, 0);
  config.backbone.dropout = 0.2;
  EXPECT_EQ(BackboneOptionsOf(config, 1'000'000).dropout, 0.2);
  EXPECT_EQ(BackboneOptionsOf(Small("iresnet18"), 100).dropout, 0);
  EXPECT_EQ(BackboneOptionsOf(Small("mobilefacenet"), 100).dropout, 0);
}

TEST(BackboneOptionsOf, EveryKeyArrives) {
  RunConfig config = Small("mobilefacenet");
  config.run.seed = 7;
  config.backbone.compute = "bfloat16";
  config.backbone.freeze = {"layers.0"};
  const BackboneOptions options = BackboneOptionsOf(config, 100);
  EXPECT_EQ(options.name, "mobilefacenet");
  EXPECT_EQ(options.width, 2);
  EXPECT_EQ(options.image_size, 16);
  EXPECT_EQ(options.embedding_size, 4);
  EXPECT_EQ(options.seed, 7u);
  EXPECT_EQ(options.compute, at::kBFloat16);
  EXPECT_THAT(options.freeze, ::testing::ElementsAre("layers.0"));
  EXPECT_EQ(BackboneOptionsOf(Small("iresnet18"), 100).compute, at::kFloat);
}

TEST(OptimizerOptionsOf, TakesTheKindAndItsKeys) {
  RunConfig::Optimizer keys;
  keys.weight_decay = 0.01;
  keys.momentum = 0.8;
  const OptimizerOptions sgd = OptimizerOptionsOf(keys);
  EXPECT_EQ(std::get<SgdOptions>(sgd).momentum, 0.8);
  EXPECT_EQ(std::get<SgdOptions>(sgd).weight_decay, 0.01);
  keys = {.kind = "adamw", .beta1 = 0.8, .beta2 = 0.99, .epsilon = 1e-6, .weight_decay = 0.02};
  const OptimizerOptions adamw = OptimizerOptionsOf(keys);
  EXPECT_EQ(std::get<AdamWOptions>(adamw).beta1, 0.8);
  EXPECT_EQ(std::get<AdamWOptions>(adamw).beta2, 0.99);
  EXPECT_EQ(std::get<AdamWOptions>(adamw).epsilon, 1e-6);
  EXPECT_EQ(std::get<AdamWOptions>(adamw).weight_decay, 0.02);
}

class BackboneInit : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.run.seed = 2;
    config_.backbone.init = ::testing::TempDir() + "/run_backbone_" +
                            ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".safetensors";
    saved_ = *MakeBackbone(Small("faceresnet18"), 100);
    const absl::Status status = SaveBackbone(*saved_, config_.backbone.init);
    ASSERT_TRUE(status.ok()) << status;
  }
  void TearDown() override { std::filesystem::remove(config_.backbone.init); }

  std::string Refusal() {
    const auto backbone = MakeBackbone(config_, 100);
    EXPECT_EQ(backbone.status().code(), absl::StatusCode::kInvalidArgument) << backbone.status();
    EXPECT_THAT(std::string(backbone.status().message()), StartsWith("backbone.init: " + config_.backbone.init));
    return std::string(backbone.status().message());
  }

  RunConfig config_ = Small("faceresnet18");
  std::unique_ptr<Backbone> saved_;
};

TEST_F(BackboneInit, ARunBeginsWithTheFilesWeightsFrozenOnesIncluded) {
  config_.backbone.freeze = {"layer1"};
  const auto backbone = MakeBackbone(config_, 100);
  ASSERT_TRUE(backbone.ok()) << backbone.status();
  for (size_t i = 0; i < saved_->state_dict().size(); ++i) {
    const NamedTensor& named = saved_->state_dict()[i];
    EXPECT_TRUE(named.tensor.equal((*backbone)->state_dict()[i].tensor)) << named.name;
  }
}

TEST_F(BackboneInit, AFileOfAnotherArchitectureOrSizeIsRefusedByFileAndTensor) {
  config_.backbone.embedding_size = 8;
  EXPECT_THAT(Refusal(), HasSubstr("tensor \"fc.weight\" is F32 of shape [4, 16]; this faceresnet18 needs F32 of shape "
                                   "[8, 16] (the file's embeddings have 4 dimensions: set backbone.embedding_size"));
  config_.backbone.embedding_size = 4;
  config_.data.image_size = 32;
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("tensor \"fc.weight\""), HasSubstr("another data.image_size")));
  config_.data.image_size = 16;
  config_.backbone.name = "faceresnet34";
  EXPECT_THAT(Refusal(), HasSubstr("holds the backbone faceresnet18; this one is faceresnet34 (backbone.name)"));
}

TEST_F(BackboneInit, AFileThatIsNotThereIsNamed) {
  config_.backbone.init += ".none";
  const auto backbone = MakeBackbone(config_, 100);
  EXPECT_EQ(backbone.status().code(), absl::StatusCode::kNotFound) << backbone.status();
  EXPECT_THAT(std::string(backbone.status().message()), HasSubstr(config_.backbone.init));
}

}  // namespace
}  // namespace arcshard::worker
