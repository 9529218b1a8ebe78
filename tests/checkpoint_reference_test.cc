// Tests checkpoints with other readers and writers: imports files that PyTorch wrote, and reads arcshard's exports by
// Python's safetensors and by PyTorch.
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/checkpoint/export_checkpoint.h"
#include "cli/insightface/import_checkpoint.h"
#include "cli/model/embed.h"
#include "common/io/file_system.h"
#include "common/io/safetensors.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "tests/testing/commands.h"
#include "worker/data/testing/test_folder.h"

namespace arcshard::cli {
namespace {

const std::string kCase = ARCSHARD_SOURCE_DIR "/tests/data/insightface";

// Imports files that PyTorch wrote and exports them again.
class CheckpointReferenceTest : public ::testing::Test {
 protected:
  CheckpointReferenceTest() {
    ImportOptions import_options;
    import_options.folder = kCase + "/checkpoint";
    import_options.out = Path("imported");
    const auto imported = ImportCheckpoint(RealFileSystem(), import_options);
    EXPECT_TRUE(imported.ok()) << imported.status();
    ExportOptions export_options;
    export_options.checkpoint = Path("imported");
    export_options.centers = Path("centers.safetensors");
    export_options.backbone = Path("backbone.safetensors");
    const auto exported = ExportCheckpoint(RealFileSystem(), export_options);
    EXPECT_TRUE(exported.ok()) << exported.status();
  }

  void Embed() {
    EmbedCommandOptions options;
    options.backbone = Path("backbone.safetensors");
    options.input = kCase + "/images";
    options.output = Path("embeddings.safetensors");
    const absl::Status status = EmbedImages(options);
    ASSERT_TRUE(status.ok()) << status;
  }

  // Runs Python with these arguments and returns its exit status.
  static int Python(const std::vector<std::string>& arguments) {
    return std::system(PythonCommand(absl::StrJoin(arguments, " ")).c_str());
  }
  static std::string Script(const std::string& name) { return ARCSHARD_SOURCE_DIR "/tests/reference/" + name; }

  std::string Path(absl::string_view name) const { return folder_.Path(name); }
  worker::TestFolder folder_;
};

TEST_F(CheckpointReferenceTest, PythonReadsEveryFileAndTheExportedCentersAreItsRows) {
  EXPECT_EQ(Python({Script("check_checkpoint.py"), Path("imported"), Path("centers.safetensors")}), 0);
}

TEST_F(CheckpointReferenceTest, TheExportedBackboneEmbedsAsPyTorchDidBeforeTheImport) {
  Embed();
  const std::vector<float> ours = *SafetensorsFile::Open(Path("embeddings.safetensors"))->Read<float>("embeddings");
  const std::vector<float> theirs = *SafetensorsFile::Open(kCase + "/expected.safetensors")->Read<float>("embeddings");
  ASSERT_EQ(ours.size(), theirs.size());
  float largest = 0, difference = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    largest = std::max(largest, std::abs(theirs[i]));
    difference = std::max(difference, std::abs(ours[i] - theirs[i]));
  }
  EXPECT_LE(difference, 1e-5f * largest);
  EXPECT_GT(largest, 0.1f);
}

TEST_F(CheckpointReferenceTest, PyTorchLoadsTheExportedBackboneAndEmbedsTheSame) {
  if (Python({"-c", "'import torch, PIL'", "2>/dev/null"}) != 0) {
    GTEST_SKIP() << "this Python lacks torch or pillow; set ARCSHARD_TEST_PYTHON to one that has both";
  }
  Embed();
  EXPECT_EQ(Python({Script("check_embeddings.py"), Path("backbone.safetensors"), kCase + "/images",
                    Path("embeddings.safetensors")}),
            0);
}

}  // namespace
}  // namespace arcshard::cli
