#include "cli/model/embed.h"

#include <cmath>
#include <utility>

#include "common/io/file.h"
#include "common/io/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/backbone/backbone_file.h"
#include "worker/data/images/image_encode.h"
#include "worker/data/testing/test_folder.h"
#include "worker/data/testing/test_images.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kDim = 4;

// Three images, the second of which may be damaged, and a small backbone.
class EmbedTest : public ::testing::Test {
 protected:
  EmbedTest() {
    const auto backbone =
        worker::CreateBackbone({.name = "iresnet18", .width = 2, .image_size = 16, .embedding_size = kDim});
    EXPECT_TRUE(backbone.ok()) << backbone.status();
    EXPECT_TRUE(worker::SaveBackbone(**backbone, folder_.Path("backbone.safetensors")).ok());
    for (int i = 0; i < 3; ++i) {
      folder_.Write(NameOf(i), worker::EncodePng(worker::PatternImage(20, 20, 40 * i)));
    }
    options_.backbone = folder_.Path("backbone.safetensors");
    options_.input = folder_.Path("images");
    options_.output = folder_.Path("out.safetensors");
    options_.forward.batch = 2;
    options_.force = true;  // tests embed more than once
  }

  static std::string NameOf(int i) { return absl::StrCat("images/", i, ".png"); }
  void Damage() { folder_.Write(NameOf(1), "no image"); }
  SafetensorsFile Result() { return SafetensorsFile::Open(options_.output).value(); }
  std::vector<float> Embeddings() {
    const absl::Status status = EmbedImages(options_);
    EXPECT_TRUE(status.ok()) << status;
    return Result().Read<float>("embeddings").value();
  }

  worker::TestFolder folder_;
  EmbedCommandOptions options_;
};

TEST_F(EmbedTest, EveryImageHasARowWithNameAndLabel) {
  EXPECT_EQ(Embeddings().size(), 3u * kDim);
  const SafetensorsFile file = Result();
  EXPECT_THAT(*file.Read<int64_t>("labels"), ElementsAre(-1, -1, -1));
  const auto names = file.Read<uint8_t>("names");
  EXPECT_EQ(std::string(names->begin(), names->end()), R"(["0.png","1.png","2.png"])");
  EXPECT_EQ(file.metadata().at("input"), options_.input);
}

TEST_F(EmbedTest, PathsThatAreNotUtf8AreNoHindrance) {
  folder_.Write("w\xe4/l\xff.png", worker::EncodePng(worker::PatternImage(20, 20, 0)));
  options_.input = folder_.Path("w\xe4");
  options_.output = folder_.Path("\xfc.safetensors");
  EXPECT_EQ(Embeddings().size(), 1u * kDim);
  EXPECT_EQ(Result().metadata().at("input"), folder_.Path("w\\xe4"));
}

TEST_F(EmbedTest, FlipAddsTheMirrorImageAndNormalizeComesAfterIt) {
  const std::vector<float> plain = Embeddings();
  options_.flip = true;
  const std::vector<float> sums = Embeddings();
  EXPECT_NE(plain, sums);
  options_.normalize = true;
  const std::vector<float> units = Embeddings();
  for (int64_t row = 0; row < 3; ++row) {
    double squared = 0, dot = 0, unit = 0;
    for (int64_t d = row * kDim; d < (row + 1) * kDim; ++d) {
      squared += sums[d] * sums[d];
      dot += sums[d] * units[d];
      unit += units[d] * units[d];
    }
    EXPECT_NEAR(unit, 1.0, 1e-6);
    EXPECT_NEAR(dot, std::sqrt(squared), 1e-5 * std::sqrt(squared));
  }
}

TEST_F(EmbedTest, ADamagedImageIsNamedAndNothingIsWritten) {
  Damage();
  const absl::Status status = EmbedImages(options_);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(folder_.Path(NameOf(1))));
  EXPECT_EQ(SafetensorsFile::Open(options_.output).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(EmbedTest, DamagedImagesAreLeftOutWhereThatIsWanted) {
  const std::vector<float> all = Embeddings();
  Damage();
  options_.skip_damaged = true;
  testing::internal::CaptureStderr();
  const std::vector<float> some = Embeddings();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), AllOf(HasSubstr("left out: "), HasSubstr(NameOf(1))));
  EXPECT_EQ(some.size(), 2u * kDim);
  for (int64_t d = 0; d < kDim; ++d) {
    EXPECT_NEAR(some[d], all[d], 1e-5);
    EXPECT_NEAR(some[kDim + d], all[2 * kDim + d], 1e-5);
  }
  EXPECT_EQ(Result().metadata().at("left_out"), "1");
}

TEST_F(EmbedTest, NothingIsReplacedUnaskedAndAnInputNever) {
  folder_.Write("mine.txt", "dear");
  folder_.Write("list.txt", absl::StrCat(NameOf(0), " 0\n"));
  folder_.Write("set.bin", "](C\1aC\1be](\x88\x65\x86.");
  const auto error_of = [&](const std::string& input, const std::string& output, bool force) {
    options_.input = folder_.Path(input);
    options_.output = folder_.Path(output);
    options_.force = force;
    const std::string before = ReadFile(options_.output).value_or("");
    const absl::Status status = EmbedImages(options_);
    EXPECT_FALSE(status.ok()) << input << " " << output;
    EXPECT_EQ(ReadFile(options_.output).value_or(""), before) << output;
    return std::string(status.message());
  };
  EXPECT_EQ(error_of("images", "mine.txt", false), folder_.Path("mine.txt") + " exists already; --force replaces it");
  for (const bool force : {false, true}) {
    for (const auto& [input, output] : {std::pair("images", "backbone.safetensors"),
                                        {"images/0.png", "images/0.png"},
                                        {"list.txt", "list.txt"},
                                        {"set.bin", "set.bin"},
                                        {"images", "images/../backbone.safetensors"}}) {
      EXPECT_THAT(error_of(input, output, force), HasSubstr("is read by the same command: it is not replaced"));
    }
  }
  for (const char* input : {"images", "list.txt"}) {
    EXPECT_THAT(error_of(input, "images/0.png", true), HasSubstr("is one of the images or their list"));
  }
  EXPECT_THAT(error_of("images", "none/out.safetensors", false), HasSubstr("its folder is not there"));
  EXPECT_THAT(error_of("images", "images", true), HasSubstr("is read by the same command"));
}

TEST_F(EmbedTest, AllImagesDamagedIsAnError) {
  options_.input = folder_.Path("bad");
  options_.skip_damaged = true;
  folder_.Write("bad/a.png", "no image");
  EXPECT_THAT(std::string(EmbedImages(options_).message()), HasSubstr("none of its 1 images can be decoded"));
}

}  // namespace
}  // namespace arcshard::cli
