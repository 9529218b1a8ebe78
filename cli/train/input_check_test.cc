#include "cli/train/input_check.h"

#include <fstream>

#include "cli/supervision/testing/script_test.h"
#include "gmock/gmock.h"

namespace arcshard::cli {
namespace {

class InputCheckTest : public ScriptTest {
 protected:
  InputCheckTest() {
    config_.data.train = Path("data");
    std::filesystem::create_directories(config_.data.train);
    for (const char* name : {"data/train.rec", "data/train.idx", "data/property", "lfw.bin"}) std::ofstream{Path(name)};
    config_.verification.sets = {Path("lfw.bin")};
  }

  RunConfig config_;
};

TEST_F(InputCheckTest, WhatIsThereIsFine) { EXPECT_EQ(CheckInputs(config_, false), absl::OkStatus()); }

TEST_F(InputCheckTest, AllThatIsMissingIsNamedWithItsKey) {
  std::filesystem::remove(Path("data/train.idx"));
  config_.verification.sets.push_back(Path("cfp.bin"));
  config_.head.init = Path("data");
  const absl::Status status = CheckInputs(config_, false);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(std::string(status.message()),
            "data.train: " + Path("data/train.idx") + " does not exist; head.init: " + Path("data") +
                " is not a file; verification.sets: " + Path("cfp.bin") + " does not exist");
}

TEST_F(InputCheckTest, ARunThatResumesDoesNotNeedTheFilesItStartedFrom) {
  config_.head.init = Path("centers.safetensors");
  config_.backbone.init = Path("backbone.safetensors");
  config_.init_from.checkpoint = Path("runs/other");
  config_.init_from.classes = Path("classes.txt");
  const absl::Status status = CheckInputs(config_, false);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  for (const char* const key : {"head.init: ", "backbone.init: ", "init_from.checkpoint: ", "init_from.classes: "}) {
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(key));
  }
  EXPECT_EQ(CheckInputs(config_, true), absl::OkStatus());
  config_.loss.class_weights = Path("weights.txt");
  EXPECT_EQ(CheckInputs(config_, true).message(), "loss.class_weights: " + Path("weights.txt") + " does not exist");
}

TEST_F(InputCheckTest, EachFormatIsFoundByItself) {
  RunConfig config;
  config.data.train = Path("folders");
  std::filesystem::create_directories(Path("folders/apple"));
  EXPECT_THAT(std::string(CheckInputs(config, false).message()), ::testing::HasSubstr("holds no training set"));
  std::ofstream{Path("folders/apple/1.JPG")};
  EXPECT_EQ(CheckInputs(config, false), absl::OkStatus());

  std::ofstream{Path("list.txt")};
  config.data.train = Path("list.txt");
  EXPECT_EQ(CheckInputs(config, false), absl::OkStatus());
  config.data.format = "folders";
  EXPECT_EQ(CheckInputs(config, false).message(),
            "data.train: " + Path("list.txt") + " is not a folder, as data.format folders has it");

  config.data.format = "seed";
  config.data.train = Path("folders");
  EXPECT_EQ(CheckInputs(config, false).message(), "data.train: " + Path("folders/property") + " does not exist");
  config.head.classes = 10;
  EXPECT_EQ(CheckInputs(config, false), absl::OkStatus()) << "property is not needed then";

  config.data.format = "auto";
  config.data.train = Path("nowhere");
  EXPECT_EQ(CheckInputs(config, false).message(), "data.train: " + Path("nowhere") + " does not exist");
  config.data.format = "synthetic";
  EXPECT_EQ(CheckInputs(config, false), absl::OkStatus());
}

}  // namespace
}  // namespace arcshard::cli
