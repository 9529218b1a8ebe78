#include "worker/backbone/backbone_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ops/zeros.h"
#include "absl/strings/match.h"
#include "common/io/file.h"

namespace arcshard::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::unique_ptr<Backbone> Small(uint64_t seed) {
  return *CreateBackbone(
      {.name = "iresnet18", .width = 2, .image_size = 16, .embedding_size = 4, .dropout = 0.4, .seed = seed});
}

void ExpectSameState(const Backbone& a, const Backbone& b) {
  for (size_t i = 0; i < a.state_dict().size(); ++i) {
    EXPECT_TRUE(a.state_dict()[i].tensor.equal(b.state_dict()[i].tensor)) << a.state_dict()[i].name;
  }
}

class BackboneFile : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ = ::testing::TempDir() + "/backbone_file_" + test->name() + ".safetensors";
    saved_ = Small(1);
    // All values change, so that none is a first weight.
    for (const NamedTensor& named : saved_->state_dict()) named.tensor.detach().add_(1);
    const absl::Status status = SaveBackbone(*saved_, path_, {{"step", "12"}});
    ASSERT_TRUE(status.ok()) << status;
  }
  void TearDown() override { std::filesystem::remove(path_); }

  // Writes the file again after `change` has changed its tensors and metadata.
  template <typename Change>
  void Rewrite(Change change) {
    const auto file = SafetensorsFile::Open(path_);
    ASSERT_TRUE(file.ok()) << file.status();
    SafetensorsMetadata metadata = file->metadata();
    std::map<std::string, std::pair<SafetensorsFile::Entry, std::vector<float>>> tensors;
    for (const auto& [name, entry] : file->entries()) {
      if (entry.dtype == TensorDtype::kF32) tensors[name] = {entry, *file->Read<float>(name)};
    }
    change(&tensors, &metadata);
    std::vector<TensorView> views;
    const std::vector<int64_t> zero = {0};
    for (const auto& [name, tensor] : tensors) {
      views.push_back(TensorView::Of<float>(name, tensor.first.shape, tensor.second));
    }
    for (const auto& [name, entry] : file->entries()) {
      if (entry.dtype == TensorDtype::kI64) views.push_back(TensorView::Of<int64_t>(name, {}, zero));
    }
    const absl::Status status = WriteSafetensors(path_, std::move(views), metadata);
    ASSERT_TRUE(status.ok()) << status;
  }

  // Expects that loading into a backbone with other weights fails and leaves them unchanged. Returns the message.
  std::string LoadFails() {
    const auto backbone = Small(2);
    const absl::Status status = LoadBackbone(path_, backbone.get());
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
    ExpectSameState(*backbone, *Small(2));
    return std::string(status.message());
  }

  std::string path_;
  std::unique_ptr<Backbone> saved_;
};

TEST_F(BackboneFile, LoadsWhatWasSavedBitForBit) {
  const auto loaded = Small(2);
  const absl::Status status = LoadBackbone(path_, loaded.get());
  ASSERT_TRUE(status.ok()) << status;
  ExpectSameState(*loaded, *saved_);
}

TEST_F(BackboneFile, OpensTheNetworkThatItsMetadataDescribes) {
  const auto opened = OpenBackbone(path_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->options().embedding_size, 4);
  ExpectSameState(**opened, *saved_);
  EXPECT_EQ(SafetensorsFile::Open(path_)->metadata().at("step"), "12");
}

TEST_F(BackboneFile, EveryArchitectureOpensAsItWasSavedWithWhatWasFrozenInIt) {
  for (const char* name : {"iresnet34", "faceresnet18", "mobilefacenet"}) {
    const auto saved = CreateBackbone({.name = name,
                                       .width = 3,
                                       .image_size = 32,
                                       .embedding_size = 5,
                                       .seed = 4,
                                       .freeze = {absl::StrContains(name, "mobile") ? "layers.1" : "layer1"}});
    ASSERT_TRUE(saved.ok()) << saved.status();
    ASSERT_TRUE(SaveBackbone(**saved, path_).ok());
    const auto opened = OpenBackbone(path_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ((*opened)->options().name, name);
    ASSERT_EQ((*opened)->state_dict().size(), (*saved)->state_dict().size());
    ExpectSameState(**opened, **saved);
  }
}

TEST_F(BackboneFile, AMissingTensorIsNamedWithItsFile) {
  Rewrite([](auto* tensors, auto*) { tensors->erase("layer3.1.bn2.running_var"); });
  EXPECT_THAT(LoadFails(), HasSubstr("tensor \"layer3.1.bn2.running_var\" of iresnet18 is missing"));
}

TEST_F(BackboneFile, AFileOfAnotherNetworkIsRefusedByBothNames) {
  Rewrite([](auto*, auto* metadata) { (*metadata)["backbone"] = "iresnet34"; });
  EXPECT_THAT(LoadFails(), HasSubstr("holds the backbone iresnet34; this one is iresnet18 (backbone.name)"));
}

TEST_F(BackboneFile, ATensorOfAnotherShapeIsNamedWithBothShapes) {
  Rewrite([](auto* tensors, auto*) {
    auto& fc = tensors->at("fc.weight");
    fc.first.shape = {2, 32};
  });
  EXPECT_THAT(LoadFails(),
              HasSubstr("tensor \"fc.weight\" is F32 of shape [2, 32]; this iresnet18 needs F32 of shape [4, 16] (the "
                        "file's embeddings have 2 dimensions: set backbone.embedding_size to that)"));
}

TEST_F(BackboneFile, ATensorThatTheNetworkDoesNotHaveIsNamed) {
  Rewrite([](auto* tensors, auto*) { (*tensors)["layer5.0.weight"] = tensors->at("fc.bias"); });
  EXPECT_THAT(LoadFails(), HasSubstr("tensor \"layer5.0.weight\" is not one of iresnet18"));
}

TEST_F(BackboneFile, ATruncatedFileIsDataLossAndChangesNothing) {
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1);
  const auto backbone = Small(2);
  const absl::Status status = LoadBackbone(path_, backbone.get());
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
  ExpectSameState(*backbone, *Small(2));
}

TEST_F(BackboneFile, AMissingFileIsNotFound) {
  const absl::Status status = LoadBackbone(path_ + ".none", Small(2).get());
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
}

TEST_F(BackboneFile, MetadataOfALargerNetworkThanTheFileHoldsIsRefusedBeforeItIsBuilt) {
  Rewrite([](auto*, auto* metadata) {
    (*metadata)["image_size"] = "4096";
    (*metadata)["embedding_size"] = "65536";
  });
  const auto opened = OpenBackbone(path_);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kInvalidArgument) << opened.status();
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("needs F32 of shape [65536, 1048576]"));
}

TEST_F(BackboneFile, MetadataThatNamesNoPossibleNetworkIsRefused) {
  const auto refusal = [this](const std::string& key, const std::string& value) {
    Rewrite([&](auto*, auto* metadata) { (*metadata)[key] = value; });
    const auto opened = OpenBackbone(path_);
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kInvalidArgument) << opened.status();
    EXPECT_THAT(std::string(opened.status().message()), HasSubstr(path_));
    return std::string(opened.status().message());
  };
  EXPECT_THAT(refusal("width", "1024"), HasSubstr("this iresnet18 needs F32 of shape [1024, 3, 3, 3]"));
  EXPECT_THAT(refusal("width", "two"), HasSubstr("no number for the backbone's \"width\""));
  EXPECT_THAT(refusal("width", "-2"), HasSubstr("width"));
  EXPECT_THAT(refusal("backbone", "iresnet9"), HasSubstr("iresnet9"));
  Rewrite([](auto*, auto* metadata) { metadata->clear(); });
  EXPECT_THAT(std::string(OpenBackbone(path_).status().message()), HasSubstr("does not name a \"backbone\""));
}

}  // namespace
}  // namespace arcshard::worker
