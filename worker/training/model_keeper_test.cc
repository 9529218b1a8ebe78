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
  ModelKeeper keeper({.run_folder = run_folder_});
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, 10, Accuracy(0.75), /*writes=*/true).ok());
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"),
              AllOf(Contains(Pair("step", "10")), Contains(Pair("accuracy", "0.750000"))));
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, 20, Accuracy(0.75), /*writes=*/true).ok());
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, 30, Accuracy(0.5), /*writes=*/true).ok());
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"), Contains(Pair("step", "10"))) << "the earliest of equals";
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, 40, Accuracy(0.875), /*writes=*/true).ok());
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"),
              AllOf(Contains(Pair("step", "40")), Contains(Pair("accuracy", "0.875000"))));
  EXPECT_EQ(keeper.best().accuracy, 0.875);
  EXPECT_FALSE(Exists("backbone.safetensors"));
}

TEST_F(ModelKeeperTest, AWorkerThatDoesNotWriteKeepsTheBestAccuracyAllTheSame) {
  ModelKeeper keeper({.run_folder = run_folder_});
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, 10, Accuracy(0.75), /*writes=*/false).ok());
  EXPECT_FALSE(std::filesystem::exists(run_folder_));
  // In the next view it is the first worker.
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, 20, Accuracy(0.5), /*writes=*/true).ok());
  EXPECT_FALSE(Exists("best_backbone.safetensors")) << "the first worker before has written a better one";
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, 30, Accuracy(0.875), /*writes=*/true).ok());
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"), Contains(Pair("step", "30")));
}

TEST_F(ModelKeeperTest, ABestBackboneThatCouldNotBeWrittenIsNotTheBest) {
  ModelKeeper keeper({.run_folder = run_folder_});
  std::filesystem::create_directories(run_folder_);
  std::ofstream(run_folder_ + "/model") << "a file where the folder is wanted";
  EXPECT_FALSE(keeper.AfterEvaluation(backbone_, 10, Accuracy(0.75), /*writes=*/true).ok());
  EXPECT_EQ(keeper.best().accuracy, 0.0);
  std::filesystem::remove(run_folder_ + "/model");
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, 20, Accuracy(0.5), /*writes=*/true).ok());
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"), Contains(Pair("step", "20")));
}

TEST_F(ModelKeeperTest, AResumedRunKeepsTheBestBackboneOfItsFirstLife) {
  ModelKeeper keeper({.run_folder = run_folder_});
  keeper.Resume({.accuracy = 0.9, .step = 5, .sets = {"lfw"}});
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, 10, Accuracy(0.875), /*writes=*/true).ok());
  EXPECT_FALSE(Exists("best_backbone.safetensors"));
}

TEST_F(ModelKeeperTest, TheBestOnOtherSetsIsNoReasonToKeepIt) {
  ModelKeeper keeper({.run_folder = run_folder_});
  keeper.Resume({.accuracy = 0.9, .step = 5, .sets = {"an_easier_set"}});
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, 10, Accuracy(0.6), /*writes=*/true).ok());
  EXPECT_THAT(MetadataOf("best_backbone.safetensors"), Contains(Pair("step", "10")));
}

TEST_F(ModelKeeperTest, WithoutKeepBestOnlyTheFinalBackboneIsWritten) {
  ModelKeeper keeper({.run_folder = run_folder_, .keep_best = false});
  ASSERT_TRUE(keeper.AfterEvaluation(backbone_, 10, Accuracy(0.75), /*writes=*/true).ok());
  EXPECT_FALSE(Exists("best_backbone.safetensors"));
  EXPECT_EQ(keeper.best().accuracy, 0.75);
  ASSERT_TRUE(keeper.WriteFinal(backbone_, 12).ok());
  EXPECT_THAT(MetadataOf("backbone.safetensors"), Contains(Pair("step", "12")));
  EXPECT_TRUE(LoadBackbone(Path("backbone.safetensors"), &backbone_).ok());
}

TEST_F(ModelKeeperTest, AnErrorNamesTheFile) {
  std::filesystem::create_directories(run_folder_);
  std::ofstream(run_folder_ + "/model") << "a file where the folder should be";
  ModelKeeper keeper({.run_folder = run_folder_});
  const absl::Status status = keeper.WriteFinal(backbone_, 12);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(run_folder_ + "/model"));
}

}  // namespace
}  // namespace arcshard::worker
