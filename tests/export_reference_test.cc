// Tests exported backbones with other readers: an ONNX runtime computes what `arcshard embed` does, and PyTorch's own
// reader finds the same tensors in a .pt file.
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "ATen/ops/equal.h"
#include "ATen/ops/rand_like.h"
#include "absl/strings/str_cat.h"
#include "c10/core/GradMode.h"
#include "cli/export/export_commands.h"
#include "cli/model/embed.h"
#include "common/io/file.h"
#include "common/io/safetensors.h"
#include "common/pickle/torch_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "tests/testing/commands.h"
#include "torch/csrc/jit/serialization/pickle.h"
#include "worker/backbone/backbone_file.h"
#include "worker/data/images/image_encode.h"
#include "worker/data/testing/test_folder.h"
#include "worker/data/testing/test_images.h"

namespace arcshard::cli {
namespace {

using ::testing::HasSubstr;

constexpr int kSide = 32, kImages = 7;
constexpr int64_t kDim = 6;

// Each network, with values that a training could have left: all layers differ from the identity.
class ExportReferenceTest : public ::testing::TestWithParam<const char*> {
 protected:
  ExportReferenceTest() {
    auto made = worker::CreateBackbone({.name = GetParam(), .width = 4, .image_size = kSide, .embedding_size = kDim});
    EXPECT_TRUE(made.ok()) << made.status();
    backbone_ = *std::move(made);
    c10::NoGradGuard no_grad;
    for (const worker::NamedTensor& named : backbone_->state_dict()) {
      if (named.tensor.dim() == 1) named.tensor.add_(at::rand_like(named.tensor), 0.5);
      if (named.tensor.dim() == 0) named.tensor.fill_(3);
    }
    EXPECT_TRUE(worker::SaveBackbone(*backbone_, Path("backbone.safetensors")).ok());
  }
  std::string Path(const std::string& name) const { return folder_.Path(name); }

  std::unique_ptr<worker::Backbone> backbone_;
  worker::TestFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(All, ExportReferenceTest, ::testing::Values("iresnet18", "faceresnet18", "mobilefacenet"),
                         [](const auto& name) { return std::string(name.param); });

TEST_P(ExportReferenceTest, AnOnnxRuntimeComputesTheSameEmbeddingsAtAnyBatch) {
  std::vector<float> data;
  for (int i = 0; i < kImages; ++i) {
    const worker::Image image = worker::PatternImage(kSide, kSide, 31 * i);
    folder_.Write(absl::StrCat("images/", i, ".png"), worker::EncodePng(image));
    for (int channel = 0; channel < 3; ++channel) {
      for (int pixel = 0; pixel < kSide * kSide; ++pixel) {
        data.push_back((static_cast<float>(image.pixels[static_cast<size_t>(3 * pixel + channel)]) - 127.5f) / 127.5f);
      }
    }
  }
  ASSERT_TRUE(
      WriteSafetensors(Path("data.safetensors"), {TensorView::Of<float>("data", {kImages, 3, kSide, kSide}, data)})
          .ok());
  EmbedCommandOptions embed;
  embed.backbone = Path("backbone.safetensors");
  embed.input = Path("images");
  embed.output = Path("embeddings.safetensors");
  ASSERT_TRUE(EmbedImages(embed).ok());
  const auto text = ExportOnnx({.backbone = Path("backbone.safetensors"), .output = Path("backbone.onnx")});
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text, absl::StrCat(Path("backbone.onnx"), ": ", GetParam(),
                                " from data (batch×3×32×32, RGB) to embedding, ONNX operator set 13\n"));
  EXPECT_EQ(std::system(
                PythonCommand(absl::StrCat(ARCSHARD_SOURCE_DIR "/tests/reference/check_onnx.py ", Path("backbone.onnx"),
                                           " ", Path("data.safetensors"), " ", Path("embeddings.safetensors")))
                    .c_str()),
            0);
}

TEST_P(ExportReferenceTest, PyTorchsReaderFindsTheSameTensors) {
  const auto text = ExportTorch({.backbone = Path("backbone.safetensors"), .output = Path("backbone.pt")});
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, HasSubstr(absl::StrCat("a state_dict of ", backbone_->state_dict().size(), " tensors")));
  const std::string bytes = *ReadFile(Path("backbone.pt"));
  const c10::IValue read = torch::jit::pickle_load(std::vector<char>(bytes.begin(), bytes.end()));
  ASSERT_TRUE(read.isGenericDict());
  EXPECT_EQ(read.toGenericDict().size(), backbone_->state_dict().size());
  const auto file = TorchFile::Open(Path("backbone.pt"));
  ASSERT_TRUE(file.ok()) << file.status();
  for (const worker::NamedTensor& named : backbone_->state_dict()) {
    EXPECT_TRUE(at::equal(read.toGenericDict().at(named.name).toTensor(), named.tensor)) << named.name;
    const PickleValue* ours = TorchFile::Find((*file)->root(), named.name);
    ASSERT_NE(ours, nullptr) << named.name;
    EXPECT_EQ((*file)->Tensor(*ours, named.name)->shape, named.tensor.sizes().vec());
  }
  EXPECT_EQ(
      ExportTorch({.backbone = Path("backbone.safetensors"), .output = Path("backbone.pt"), .force = true}).status(),
      absl::OkStatus());
  EXPECT_EQ(*ReadFile(Path("backbone.pt")), bytes) << "the same tensors give the same file";
}

TEST_P(ExportReferenceTest, NothingIsReplacedUnaskedAndTheBackboneNever) {
  folder_.Write("mine", "dear");
  for (const auto& write : {ExportOnnx, ExportTorch}) {
    EXPECT_EQ(write({.backbone = Path("backbone.safetensors"), .output = Path("mine")}).status().code(),
              absl::StatusCode::kAlreadyExists);
    EXPECT_EQ(write({.backbone = Path("backbone.safetensors"), .output = Path("backbone.safetensors"), .force = true})
                  .status()
                  .code(),
              absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(*ReadFile(Path("mine")), "dear");
}

TEST_P(ExportReferenceTest, TensorsThatAreNotTheNetworksAreNamed) {
  const auto file = SafetensorsFile::Open(Path("backbone.safetensors"));
  ASSERT_TRUE(file.ok()) << file.status();
  const auto error = [&](const std::string& changed, const std::vector<int64_t>& shape, SafetensorsMetadata metadata) {
    std::vector<std::vector<float>> values;
    std::vector<TensorView> tensors;
    values.reserve(file->entries().size() + 1);
    const auto add = [&](const std::string& name, const std::vector<int64_t>& as) {
      size_t count = 1;
      for (const int64_t size : as) count *= static_cast<size_t>(size);
      tensors.push_back(TensorView::Of<float>(name, as, values.emplace_back(count)));
    };
    for (const auto& [name, entry] : file->entries()) {
      if (entry.dtype == TensorDtype::kF32 && name != changed) add(name, entry.shape);
    }
    if (!shape.empty()) add(changed, shape);
    EXPECT_TRUE(WriteSafetensors(Path("changed.safetensors"), tensors, metadata).ok());
    return std::string(
        ExportOnnx({.backbone = Path("changed.safetensors"), .output = Path("no.onnx")}).status().message());
  };
  const std::string norm = GetParam() == std::string("mobilefacenet") ? "layers.0.layers.1" : "bn1";
  EXPECT_THAT(error(norm + ".bias", {}, file->metadata()), HasSubstr(norm + ".bias\" is missing"));
  EXPECT_THAT(error(norm + ".bias", {3}, file->metadata()), HasSubstr(norm + ".bias\" does not fit"));
  EXPECT_THAT(error(norm + ".bias", {4, 2}, file->metadata()), HasSubstr("is F32 of shape [4, 2], which does not fit"));
  EXPECT_THAT(error("other", {4}, file->metadata()), HasSubstr("tensor \"other\" belongs to no layer"));
  SafetensorsMetadata metadata = file->metadata();
  metadata["image_size"] = "48";
  EXPECT_THAT(error("", {}, metadata), HasSubstr("does not fit"));
  metadata["backbone"] = "resnet50";
  EXPECT_THAT(error("", {}, metadata), HasSubstr("names no network that arcshard has"));
  EXPECT_THAT(error("", {}, {}), HasSubstr("names no network that arcshard has"));
}

}  // namespace
}  // namespace arcshard::cli
