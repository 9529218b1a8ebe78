// The commands of `arcshard checkpoint`, applied to the checkpoints of real runs.
#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/class_rows.h"
#include "common/io/safetensors.h"
#include "gmock/gmock.h"
#include "test_paths.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

const std::string kCase = ARCSHARD_SOURCE_DIR "/tests/data/insightface";

class CheckpointToolsTest : public ProcessTestBase {
 protected:
  // Runs a command that succeeds and returns what it prints.
  std::string Run(const std::vector<std::string>& arguments) const {
    Program program = Start("arcshard", arguments);
    EXPECT_TRUE(program.AwaitEnd().ok()) << program.output();
    return program.output();
  }
  static std::vector<float> Rows(const std::string& file, const std::string& tensor) {
    const auto opened = SafetensorsFile::Open(file);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened->Read<float>(tensor).value_or(std::vector<float>());
  }
};

TEST_F(CheckpointToolsTest, AnotherProgramReadsWhatThreeShardsWroteAndTheExportIsTheirRows) {
  Program run = Start("arcshard", SmallRun({"cluster.shards=3", "cluster.workers=1"}));
  run.AwaitLine("  step ");
  const std::string taken = Run({"checkpoint", "take", Path("run")});
  EXPECT_THAT(taken, ContainsRegex("/checkpoints/step-[0-9]+\\.1: complete, of step [0-9]+\n"));
  run.Signal(SIGINT);
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();

  const auto ids = ListCheckpoints(RealFileSystem(), Path("run"));
  ASSERT_TRUE(ids.ok()) << ids.status();
  ASSERT_GE(ids->size(), 1u);
  EXPECT_THAT(Run({"checkpoint", "ls", Path("run")}),
              ContainsRegex(absl::StrCat("\n +", ids->front().step, " +[0-9.]+ +20.* 3 +complete\n")));
  EXPECT_THAT(Run({"checkpoint", "show", Path("run")}), HasSubstr("of 3 shards\n"));
  EXPECT_THAT(Run({"checkpoint", "verify", Path("run")}), HasSubstr(": complete and intact, 5 files, "));
  Run({"checkpoint", "export", Path("run"), "--centers", Path("centers.safetensors")});
  const std::string python =
      ARCSHARD_SOURCE_DIR "/.deps/python/bin/python -B " ARCSHARD_SOURCE_DIR "/tests/reference/check_checkpoint.py ";
  const std::string newest = CheckpointFolder(Path("run"), ids->front());
  EXPECT_EQ(std::system(absl::StrCat(python, newest, " ", Path("centers.safetensors")).c_str()), 0);
}

TEST_F(CheckpointToolsTest, ARunStartsFromACheckpointOfInsightFace) {
  Run({"checkpoint", "import", kCase + "/checkpoint", Path("imported")});
  Write("run.yaml", absl::StrCat("run: {folder: ", Path("run"), "}\n",
                                 "data: {format: synthetic, synthetic_samples: 16, image_size: 16, batch_size: 8, "
                                 "micro_batch_size: 4}\n",
                                 "backbone: {name: iresnet18, width: 1, embedding_size: 8}\n", "head: {classes: 11}\n",
                                 "init_from: {checkpoint: ", Path("imported"), ", moments: true}\n",
                                 // The weights do not change: the run ends with those that it started from.
                                 "schedule: {epochs: 1, lr: 0}\n", "cluster: {shards: 2, workers: 1}\n"));
  Run({"train", Path("run.yaml")});

  Run({"checkpoint", "export", Path("run"), "--centers", Path("centers.safetensors"), "--backbone",
       Path("backbone.safetensors")});
  const std::string expected = kCase + "/expected.safetensors";
  EXPECT_EQ(Rows(Path("centers.safetensors"), "class_centers"), Rows(expected, "centers"));
  for (const char* name : {"conv1.weight", "layer4.1.conv2.weight", "fc.weight", "features.bias"}) {
    EXPECT_EQ(Rows(Path("backbone.safetensors"), name), Rows(expected, absl::StrCat("backbone.", name))) << name;
  }
}

}  // namespace
}  // namespace arcshard
