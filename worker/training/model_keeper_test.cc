#include "worker/training/model_keeper.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "worker/backbone/backbone_file.h"
#include "worker/backbone/testing/small_conv_net.h"

namespace arcshard::worker {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Pair;

class ModelKeeperTest : public ::testing::Test {
 protected:
  ModelKeeperTest()
      : run_folder_(absl::StrCat(::testing::TempDir(), "/model_keeper_test_",
                                 ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(run_folder_);
  }
  ~ModelKeeperTest() override { std::filesystem::remove_all(run_folder_); }

  std::string Path(const std::string& name) const { return absl::StrCat(run_folder_, "/model/", name); }
  bool Exists(const std::string& name) const { return std::filesystem::exists(Path(name)); }
  SafetensorsMetadata MetadataOf(const std::string& name) const {
    return SafetensorsFile::Open(Path(name))->metadata();
  }

  static std::vector<VerificationReport> Accuracy(double accuracy, const std::string& set = "lfw") {
    return {{.name = set, .accuracy = accuracy, .pairs = 6000}};
  }

  const std::string run_folder_;
  SmallConvNet backbone_{{.width = 2, .image_size = 8, .embedding_size = 4}};
};

TEST_F(ModelKeeperTest, TheBestBackboneIsReplacedOnlyByABetterOne) {
  const ModelKeeper keeper({.run_folder = run_folder_});
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, {{1, 1}, 10}, {}, Accuracy(0.75)).ok());
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"),
              AllOf(Contains(Pair("step", "10")), Contains(Pair("accuracy", "0.750000"))));
  const BestVerification best{.accuracy = 0.75, .step = 10, .sets = {"lfw"}};
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, {{1, 1}, 20}, best, Accuracy(0.75)).ok());
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, {{1, 1}, 30}, best, Accuracy(0.5)).ok());
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"), Contains(Pair("step", "10"))) << "the earliest of equals";
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, {{1, 1}, 40}, best, Accuracy(0.875)).ok());
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"),
              AllOf(Contains(Pair("step", "40")), Contains(Pair("accuracy", "0.875000"))));
  EXPECT_FALSE(Exists("backbone.safetensors"));
}

TEST_F(ModelKeeperTest, AVerificationThatIsRepeatedInALaterViewWritesItsBackboneAgain) {
  const ModelKeeper keeper({.run_folder = run_folder_});
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, {{1, 1}, 10}, {}, Accuracy(0.75)).ok());
  // Its first result was lost with the view.
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, {{1, 2}, 10}, {}, Accuracy(0.75)).ok());
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"), Contains(Pair("view", "1.2")));
  // After a rollback the best one is earlier and may be worse.
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, {{1, 3}, 8}, {}, Accuracy(0.5)).ok());
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"), Contains(Pair("step", "8")));
}

TEST_F(ModelKeeperTest, TheBestOnOtherSetsIsNoReasonToKeepIt) {
  const ModelKeeper keeper({.run_folder = run_folder_});
  const BestVerification best{.accuracy = 0.9, .step = 5, .sets = {"an_easier_set"}};
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, {{1, 1}, 10}, best, Accuracy(0.6)).ok());
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"), Contains(Pair("step", "10")));
}

TEST_F(ModelKeeperTest, WithoutKeepBestOnlyTheFinalBackboneIsWritten) {
  const ModelKeeper keeper({.run_folder = run_folder_, .keep_best = false});
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, {{1, 1}, 10}, {}, Accuracy(0.75)).ok());
  EXPECT_FALSE(std::filesystem::exists(run_folder_));
  ASSERT_TRUE(keeper.WriteFinal(backbone_, {{1, 1}, 12}).ok());
  EXPECT_THAT(MetadataOf("backbone.safetensors"), Contains(Pair("step", "12")));
  EXPECT_TRUE(LoadBackbone(Path("backbone.safetensors"), &backbone_).ok());
}

// A worker was stopped while it wrote, and goes on.
TEST_F(ModelKeeperTest, WhatALaterViewHasWrittenStays) {
  const ModelKeeper keeper({.run_folder = run_folder_});
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, {{2, 3}, 20}, {}, Accuracy(0.75)).ok());
  for (const View& late : {View{2, 2}, View{1, 9}}) {
    const absl::Status status = keeper.AfterEvaluation(backbone_, {late, 10}, {}, Accuracy(0.9));
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("best_backbone.safetensors: was written in view 2.3"));
  }
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"), Contains(Pair("step", "20")));
  ASSERT_TRUE(keeper.WriteFinal(backbone_, {{2, 3}, 30}).ok());
  EXPECT_FALSE(keeper.WriteFinal(backbone_, {{2, 2}, 12}).ok());
  EXPECT_THAT(MetadataOf("backbone.safetensors"), Contains(Pair("step", "30")));
  ASSERT_TRUE(keeper.WriteFinal(backbone_, {{2, 4}, 31}).ok());
  EXPECT_THAT(MetadataOf("backbone.safetensors"), Contains(Pair("step", "31")));
}

TEST_F(ModelKeeperTest, OnceAnotherCoordinatorHasTheFolderNothingAppearsThere) {
  const ModelKeeper keeper({.run_folder = run_folder_});
  std::filesystem::create_directories(run_folder_);
  std::ofstream(run_folder_ + "/incarnation") << "2\n";
  const absl::Status status = keeper.WriteFinal(backbone_, {{1, 7}, 12});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("incarnation 2"));
  EXPECT_TRUE(std::filesystem::is_empty(run_folder_ + "/model")) << "not even a temporary file remains";
  EXPECT_TRUE(keeper.WriteFinal(backbone_, {{2, 1}, 12}).ok());
}

TEST_F(ModelKeeperTest, WhoeverMayNotWriteAnyMoreLeavesNothing) {
  absl::Status may_write = absl::CancelledError("another view is queued");
  const ModelKeeper keeper({.run_folder = run_folder_, .may_write = [&] { return may_write; }});
  EXPECT_EQ(keeper.AfterEvaluation(backbone_, {{1, 1}, 10}, {}, Accuracy(0.75)), may_write);
  EXPECT_TRUE(std::filesystem::is_empty(run_folder_ + "/model"));
  may_write = absl::OkStatus();
  EXPECT_TRUE(keeper.AfterEvaluation(backbone_, {{1, 1}, 10}, {}, Accuracy(0.75)).ok());
}

TEST_F(ModelKeeperTest, AnErrorNamesTheFile) {
  std::filesystem::create_directories(run_folder_);
  std::ofstream(run_folder_ + "/model") << "a file where the folder should be";
  const ModelKeeper keeper({.run_folder = run_folder_});
  for (const absl::Status& status : {keeper.WriteFinal(backbone_, {{1, 1}, 12}),
                                     keeper.AfterEvaluation(backbone_, {{1, 1}, 12}, {}, Accuracy(0.75))}) {
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), HasSubstr(run_folder_ + "/model"));
  }
}

}  // namespace
}  // namespace arcshard::worker
