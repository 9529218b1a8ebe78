#include "cli/train/input_contents.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/data/testing/test_folder.h"
#include "worker/data/testing/test_images.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class InputContentsTest : public ::testing::Test {
 protected:
  InputContentsTest() {
    config_.data.train = folder_.Path("in");
    config_.data.batch_size = 4;
    for (const char* name : {"in/a/1.jpg", "in/a/2.jpg", "in/b/1.jpg", "in/b/2.jpg"}) {
      folder_.Write(name, worker::EncodeJpeg(worker::PatternImage(16, 16, name[5]), {}));
    }
  }
  std::string ErrorOf() {
    const auto found = InspectInputs(config_, false);
    EXPECT_FALSE(found.ok());
    return std::string(found.status().message());
  }

  worker::TestFolder folder_;
  RunConfig config_;
};

TEST_F(InputContentsTest, WhatIsSoundIsCounted) {
  config_.verification.sets = {ARCSHARD_SOURCE_DIR "/examples/grocery/data/pairs.bin"};
  const auto found = InspectInputs(config_, false);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, ElementsAre(HasSubstr("in: 4 samples of 2 classes"), HasSubstr("pairs.bin: ")));
}

TEST_F(InputContentsTest, PicturesThatAreNotReadAndDamagedOnesAreNamed) {
  folder_.Write("in/b/3.webp", "");
  folder_.Write("in/b/4.jpg", "no image");
  const auto found = InspectInputs(config_, false);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, ElementsAre(HasSubstr("5 samples"),
                                  AllOf(StartsWith("warning: 1 file is not read"), HasSubstr("in/b/3.webp")),
                                  AllOf(StartsWith("warning: 1 of 5 images"), HasSubstr("in/b/4.jpg"))));
}

TEST_F(InputContentsTest, WhatWouldEndTheRunIsAnErrorWithItsKey) {
  config_.data.batch_size = 5;
  EXPECT_THAT(ErrorOf(), AllOf(StartsWith("data.train: "), HasSubstr("has only 4 samples")));
  config_.data.batch_size = 4;
  config_.verification.sets = {folder_.Write("set.bin", "no pickle")};
  EXPECT_THAT(ErrorOf(), AllOf(StartsWith("verification.sets: "), HasSubstr("set.bin")));
  config_.verification.sets.clear();
  config_.head.init = folder_.Write("centers.safetensors", "no tensors");
  EXPECT_THAT(ErrorOf(), AllOf(StartsWith("head.init: "), HasSubstr("centers.safetensors")));
  EXPECT_TRUE(InspectInputs(config_, true).ok()) << "a run that resumes does not read it";
  config_.head.init.clear();
  config_.init_from.checkpoint = folder_.Path("in");
  EXPECT_THAT(ErrorOf(), AllOf(StartsWith("init_from.checkpoint: "), HasSubstr("in")));
  config_.init_from.checkpoint.clear();
  config_.data.train = folder_.Write("list.txt", "in/a/1.jpg 0\nin/a/gone.jpg 1\nin/b/1.jpg 1\nin/b/2.jpg 1\n");
  EXPECT_THAT(ErrorOf(), AllOf(StartsWith("data.train: "), HasSubstr("in/a/gone.jpg")));
}

TEST_F(InputContentsTest, AVerificationSetWithADamagedImageIsRefusedByName) {
  const std::string pair = "in/a/1.jpg\tin/b/3.jpg\t0\n";
  folder_.Write("in/b/3.jpg", "no image");
  config_.verification.sets = {folder_.Write("pairs.txt", pair)};
  EXPECT_THAT(ErrorOf(), AllOf(HasSubstr("1 of the 2 images of "), HasSubstr("image 1 of "), HasSubstr("pairs.txt")));
}

}  // namespace
}  // namespace arcshard::cli
