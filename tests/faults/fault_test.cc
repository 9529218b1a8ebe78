#include "tests/faults/fault_test.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "test_paths.h"
#include "tests/faults/fault.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard::faults {
namespace {

// Folders for all runs of this program.
class Folders : public ::testing::Environment {
 public:
  void SetUp() override {
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    Program pairs("arcshard", {"data", "pairs", ARCSHARD_SOURCE_DIR "/examples/omniglot/data", set(), "--pairs", "20",
                               "--folds", "2"});
    ASSERT_TRUE(pairs.AwaitEnd().ok()) << pairs.output();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string set() const { return folder_ + "/pairs.bin"; }
  std::string New(const std::string& name) const {
    const std::string folder = absl::StrCat(folder_, "/", name);
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    return folder;
  }

 private:
  std::string folder_ = ::testing::TempDir() + "arcshard_faults_XXXXXX";
};

const Folders* const kFolders =
    static_cast<Folders*>(::testing::AddGlobalTestEnvironment(new Folders));  // gtest owns it

// Keeps what the run has left where a test has failed.
void Keep(const std::string& folder) {
  std::string kept = ::testing::TempDir() + "arcshard_failed_XXXXXX";
  ASSERT_NE(mkdtemp(kept.data()), nullptr);
  std::filesystem::copy(folder, kept, std::filesystem::copy_options::recursive);
  ADD_FAILURE() << "the run's files are in " << kept;
}

}  // namespace

FaultRun FaultTest::NewRun(const Configuration& configuration, uint32_t members) {
  folder_ = kFolders->New("faulty");
  return {folder_, kFolders->set(), configuration, members};
}

void FaultTest::TearDown() {
  if (HasFailure() && !folder_.empty()) Keep(folder_);
}

const std::map<std::string, std::string>& FaultTest::Undisturbed(FaultRun run) {
  static auto* const kModels = new std::map<std::string, std::map<std::string, std::string>>;
  const std::string name =
      absl::StrCat("undisturbed-", run.configuration.name, "-", run.members, run.verifies ? "" : "-unverified");
  const auto found = kModels->find(name);
  if (found != kModels->end()) return found->second;
  run.folder = kFolders->New(name);
  run.first_lives.clear();
  FaultInspector nothing(std::nullopt, run.members - 1, run.members - 1);
  const Outcome outcome = Carry(run, &nothing);
  EXPECT_EQ(outcome.status, 0) << outcome.sentence;
  EXPECT_EQ(outcome.restarts, 0u);
  EXPECT_EQ(outcome.steps, 10u);
  const size_t backbones = run.verifies ? 2 : 1;  // the final and the best one
  EXPECT_EQ(outcome.model.size(), run.members + backbones);
  return (*kModels)[name] = outcome.model;
}

Outcome FaultTest::ExpectSurvives(const FaultRun& run, Inspector* inspector) {
  const std::map<std::string, std::string>& model = Undisturbed(run);
  Outcome outcome = Carry(run, inspector);
  EXPECT_EQ(outcome.status, 0) << outcome.sentence;
  EXPECT_EQ(outcome.steps, 10u);
  EXPECT_EQ(outcome.lost_steps, 0u);
  EXPECT_THAT(outcome.litter, ::testing::IsEmpty());
  EXPECT_EQ(outcome.model.size(), model.size());
  for (const auto& [name, tensors] : model) {
    const auto found = outcome.model.find(name);
    EXPECT_TRUE(found != outcome.model.end() && found->second == tensors) << name << " is not the same";
  }
  if (HasFailure()) ADD_FAILURE() << outcome.news;
  return outcome;
}

}  // namespace arcshard::faults
