// Deaths around the moment at which a file gets its final name: before it, a restart finds the file of before or none;
// after it, the new one, of which nobody has heard yet.
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "tests/faults/fault.h"
#include "tests/faults/fault_test.h"

namespace arcshard::faults {
namespace {

using ::testing::TestParamInfo;
using ::testing::ValuesIn;

struct Death {
  std::string name;
  Kind victim;
  std::string file;  // the end of its path; only one process of the kind writes such files
  int time = 1;      // of the victim's files with this name, from 1
};

const std::vector<Death> kDeaths = {
    {"FirstManifest", Kind::kCoordinator, "/manifest.json", 1},
    {"SecondManifest", Kind::kCoordinator, "/manifest.json", 2},
    {"LastManifest", Kind::kCoordinator, "/manifest.json", 3},
    {"BestBackbone", Kind::kWorker, "/best_backbone.safetensors"},
    {"FinalBackbone", Kind::kWorker, "/model/backbone.safetensors"},
    {"FirstCenters", Kind::kShard, "/model/class_centers-0-15.safetensors"},
    {"LastCenters", Kind::kShard, "/model/class_centers-15-30.safetensors"},
};

struct Cell {
  Configuration configuration;
  Death death;
  bool before = false;
};

std::ostream& operator<<(std::ostream& out, const Cell& cell) {
  return out << cell.configuration.name << ", " << cell.death.name;
}

std::vector<Cell> CellsOf(const Configuration& configuration) {
  std::vector<Cell> cells;
  for (const Death& death : kDeaths) {
    for (const bool before : {true, false}) cells.push_back({configuration, death, before});
  }
  return cells;
}

std::string NameOf(const TestParamInfo<Cell>& cell) {
  return absl::StrCat(cell.param.death.name, cell.param.before ? "Before" : "After");
}

class FaultFilesTest : public FaultTest, public ::testing::WithParamInterface<Cell> {};

TEST_P(FaultFilesTest, TheRunSurvivesLosesNoStepAndHasTheSameModel) {
  const auto& [configuration, death, before] = GetParam();
  FaultRun run = NewRun(configuration, 2);
  run.first_lives[death.victim] = {"LD_PRELOAD=" ARCSHARD_BIN_DIR "/../test/libdie_at_rename.so",
                                   absl::StrCat("ARCSHARD_DIE_AT_RENAME=", before ? "before" : "after"),
                                   absl::StrCat("ARCSHARD_DIE_AT_NAME=", death.file),
                                   absl::StrCat("ARCSHARD_DIE_AT_TIME=", death.time)};
  FaultInspector nothing(std::nullopt, 1, 1);
  EXPECT_EQ(ExpectSurvives(run, &nothing).restarts, 1u) << "no such file was written";
}

INSTANTIATE_TEST_SUITE_P(Sgd, FaultFilesTest, ValuesIn(CellsOf(Configurations()[0])), NameOf);
INSTANTIATE_TEST_SUITE_P(AdamW, FaultFilesTest, ValuesIn(CellsOf(Configurations()[1])), NameOf);
INSTANTIATE_TEST_SUITE_P(Bfloat16, FaultFilesTest, ValuesIn(CellsOf(Configurations()[2])), NameOf);

}  // namespace
}  // namespace arcshard::faults
