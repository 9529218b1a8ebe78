#include "worker/inference/image_sources.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/data/images/image_encode.h"
#include "worker/data/testing/test_folder.h"
#include "worker/data/testing/test_images.h"

namespace arcshard::worker {
namespace {

using ::testing::HasSubstr;

class ImageSourcesTest : public ::testing::Test {
 protected:
  std::unique_ptr<NamedImages> Open(const std::string& path) {
    auto images = OpenImages(path);
    EXPECT_TRUE(images.ok()) << images.status();
    return *std::move(images);
  }
  static int64_t LabelOf(const NamedImages& images, int64_t i) {
    SampleBuffers buffers;
    const auto read = images.Read(i, 16, &buffers);
    EXPECT_TRUE(read.ok()) << read.status();
    return read.ok() ? read->label : -2;
  }

  TestFolder folder_;
  const std::string png_ = EncodePng(PatternImage(16, 16, 3));
};

TEST_F(ImageSourcesTest, ImagesOfAFolderHaveNamesButNoLabels) {
  folder_.Write("flat/b.png", png_);
  folder_.Write("flat/a.PNG", png_);
  folder_.Write("flat/notes.txt", "");
  const auto images = Open(folder_.Path("flat"));
  ASSERT_EQ(images->images(), 2);
  EXPECT_EQ(images->NameOf(0), "a.PNG");
  EXPECT_EQ(images->NameOf(1), "b.png");
  EXPECT_EQ(LabelOf(*images, 1), -1);
}

TEST_F(ImageSourcesTest, ClassFoldersHaveBoth) {
  folder_.Write("set/apple/1.png", png_);
  folder_.Write("set/pear/1.png", png_);
  const auto images = Open(folder_.Path("set"));
  ASSERT_EQ(images->images(), 2);
  EXPECT_EQ(images->NameOf(1), "pear/1.png");
  EXPECT_EQ(LabelOf(*images, 1), 1);
}

TEST_F(ImageSourcesTest, AnImageStandsForItself) {
  const auto images = Open(folder_.Write("one.png", png_));
  ASSERT_EQ(images->images(), 1);
  EXPECT_EQ(images->NameOf(0), "one.png");
  EXPECT_EQ(LabelOf(*images, 0), -1);
}

TEST_F(ImageSourcesTest, RecordsAreFoundByFolderOrFile) {
  const std::string grocery = ARCSHARD_SOURCE_DIR "/examples/grocery/data";
  for (const std::string& path : {grocery, grocery + "/train.rec"}) {
    const auto images = Open(path);
    EXPECT_GT(images->images(), 50);
    EXPECT_THAT(images->NameOf(0), ::testing::MatchesRegex("record [0-9]+"));
    EXPECT_GE(LabelOf(*images, 0), 0);
  }
}

TEST_F(ImageSourcesTest, AVerificationSetIsReadImageByImage) {
  const auto images = Open(ARCSHARD_SOURCE_DIR "/examples/grocery/data/pairs.bin");
  EXPECT_EQ(images->images() % 2, 0);
  EXPECT_EQ(images->NameOf(3), "image 3");
  EXPECT_EQ(LabelOf(*images, 3), -1);
}

TEST_F(ImageSourcesTest, ADamagedImageIsNamed) {
  const auto images = Open(folder_.Write("one.png", png_.substr(0, 100)));
  SampleBuffers buffers;
  const absl::Status status = images->Read(0, 16, &buffers).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(folder_.Path("one.png")));
}

TEST_F(ImageSourcesTest, WhatHoldsNoImagesIsRefused) {
  EXPECT_EQ(OpenImages(folder_.Path("none")).status().code(), absl::StatusCode::kNotFound);
  folder_.Write("empty/notes.txt", "");
  EXPECT_THAT(std::string(OpenImages(folder_.Path("empty")).status().message()), HasSubstr("holds no training set"));
  EXPECT_THAT(std::string(OpenImages(folder_.Write("other.rec", "x")).status().message()), HasSubstr("train.idx"));
}

}  // namespace
}  // namespace arcshard::worker
