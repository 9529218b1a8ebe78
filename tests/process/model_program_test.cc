#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "tests/process/testing/process_kit.h"
#include "tests/testing/commands.h"

// arcshard does not load LibTorch; arcshard-model does, for the commands that compute with it.
namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class ModelProgramTest : public ProcessTestBase {};

TEST_F(ModelProgramTest, OnlyTheProgramThatComputesWithTensorsLoadsLibTorch) {
  const auto libraries = [](const char* program) {
    return OutputOf(absl::StrCat("ldd " ARCSHARD_BIN_DIR "/", program));
  };
  EXPECT_THAT(libraries("arcshard"), AllOf(HasSubstr("libgrpc"), Not(HasSubstr("torch"))));
  EXPECT_THAT(libraries("arcshard-coordinator"), Not(HasSubstr("torch")));
  EXPECT_THAT(libraries("arcshard-model"), HasSubstr("libtorch_cpu"));
}

TEST_F(ModelProgramTest, CommandsThatComputeWithTensorsAreHandedOver) {
  EXPECT_EQ(ErrorOf("arcshard", {"verify", Path("none"), Path("none.bin")}, 1),
            absl::StrCat(Path("none"), ": cannot open for reading: No such file or directory"));
  EXPECT_THAT(ErrorOf("arcshard", {"embed", Path("none"), Path("a b"), Path("out")}, 1), HasSubstr(Path("none")));
  EXPECT_THAT(ErrorOf("arcshard", {"checkpoint", "import", Path("none"), Path("out")}, 1), HasSubstr(Path("none")));
}

TEST_F(ModelProgramTest, WithoutTheOtherProgramTheErrorNamesIt) {
  std::filesystem::copy_file(ARCSHARD_BIN_DIR "/arcshard", Path("arcshard"));
  const std::string output = OutputOf(absl::StrCat(Path("arcshard"), " verify a b 2>&1 || true"));
  EXPECT_THAT(output, ContainsRegex(absl::StrCat("computes with LibTorch in another program: ", Path("arcshard-model"),
                                                 ": cannot start: No such file")));
}

}  // namespace
}  // namespace arcshard
