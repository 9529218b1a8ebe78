#include "coordinator/run_folder/start_from.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/part_writer.h"
#include "common/config/load_config.h"
#include "common/io/testing/memory_file_system.h"
#include "coordinator/run_folder/restart_undo.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr StartOptions kAuto{.resume = ResumeMode::kAuto};
constexpr StartOptions kYes{.resume = ResumeMode::kYes};
constexpr StartOptions kOlder{.resume = ResumeMode::kYes, .allow_older = true};

class StartFromTest : public ::testing::Test {
 protected:
  StartFromTest() {
    config_.run.folder = "/run";
    config_.data.train = "/data";
  }

  // Writes a checkpoint with one file, "backbone.safetensors".
  void Take(const CheckpointId& id, const std::string& run_folder = "/run") {
    const std::string folder = CheckpointFolder(run_folder, id);
    const std::vector<std::byte> bytes(8, std::byte{1});
    auto part = PartWriter::Create(&disk_, folder, "backbone.safetensors", {{"w", TensorDtype::kF32, {2}}}, {});
    ASSERT_TRUE(part.ok()) << part.status();
    ASSERT_TRUE((*part)->Append("w", TensorDtype::kF32, bytes).ok());
    const auto record = (*part)->Finish();
    ASSERT_TRUE(record.ok()) << record.status();
    Manifest manifest;
    manifest.step = id.step;
    manifest.incarnation = id.incarnation;
    manifest.num_classes = 9;
    manifest.embedding_size = 512;
    manifest.config_yaml = config_yaml_.value_or(ToYaml(config_));
    manifest.created = "2026-11-24T12:00:00Z";
    manifest.version = "0.1.0";
    manifest.files = {*record};
    const absl::Status status = WriteManifest(&disk_, folder, manifest);
    ASSERT_TRUE(status.ok()) << status;
  }
  void Damage(const CheckpointId& id) {
    const std::string path = CheckpointFolder("/run", id) + "/backbone.safetensors";
    std::string contents = disk_.Contents(path);
    contents.back() ^= 1;
    disk_.SetContents(path, contents);
  }
  void DamageManifest(const CheckpointId& id) {
    disk_.SetContents(absl::StrCat(CheckpointFolder("/run", id), "/", kManifestName), "{}");
  }
  absl::StatusOr<StartPoint> Decide(const StartOptions& options) { return DecideStart(&disk_, config_, options, 5); }
  // The folder that the run resumes from, "" for a new run, or the error.
  std::string From(const StartOptions& options) {
    const absl::StatusOr<StartPoint> start = Decide(options);
    if (!start.ok()) return std::string(start.status().message());
    return start->resume.has_value() ? start->resume->folder : "";
  }
  std::vector<std::string> Names(const std::string& folder) {
    std::vector<std::string> names;
    const auto entries = disk_.List(folder);
    EXPECT_TRUE(entries.ok()) << entries.status();
    if (!entries.ok()) return names;
    for (const auto& entry : *entries) names.push_back(entry.name);
    return names;
  }

  MemoryFileSystem disk_;
  RunConfig config_;
  std::optional<std::string> config_yaml_;  // for manifests, instead of config_'s
};

TEST_F(StartFromTest, WithoutACheckpointOnlyANewRunCanBegin) {
  EXPECT_EQ(From({}), "");
  EXPECT_EQ(From(kAuto), "");
  EXPECT_TRUE(absl::IsNotFound(Decide(kYes).status()));
  EXPECT_EQ(From(kYes), "run.folder /run has no complete checkpoint to resume from");
}

TEST_F(StartFromTest, TheNewestCompleteOneIsGoneOnWith) {
  Take({8, 1});
  Take({12, 1});
  Take({12, 2});
  Take({9, 3});
  ASSERT_TRUE(disk_.CreateFolders("/run/checkpoints/step-00000013.3").ok());  // its writer was killed
  const absl::StatusOr<StartPoint> start = Decide(kYes);
  ASSERT_TRUE(start.ok()) << start.status();
  EXPECT_EQ(start->resume->folder, "/run/checkpoints/step-00000012.2");
  EXPECT_EQ(start->resume->manifest.step, 12u);
  EXPECT_EQ(From(kAuto), "/run/checkpoints/step-00000012.2");
  EXPECT_THAT(Names("/run/checkpoints"),
              ElementsAre("step-00000008.1", "step-00000009.3", "step-00000012.1", "step-00000012.2"));
}

TEST_F(StartFromTest, ARunThatGoesOnBeganWithTheLastRestart) {
  const auto first = [this](const StartOptions& options) {
    const absl::StatusOr<StartPoint> start = Decide(options);
    return start.ok() ? start->first_incarnation : 0;
  };
  EXPECT_EQ(first({}), 5u) << "a new run, whoever was here before";
  EXPECT_EQ(first(kAuto), 1u) << "its coordinator may have died before the first checkpoint";
  Take({12, 1});
  EXPECT_EQ(first(kYes), 1u);
  EXPECT_EQ(first({.restart = true}), 5u);
  Take({3, 5});
  ASSERT_TRUE(disk_.CreateFolders("/run/checkpoints-before-x").ok());
  EXPECT_EQ(first(kYes), 5u);
  EXPECT_EQ(first(kAuto), 5u);
}

TEST_F(StartFromTest, ARunIsNotBegunAnewOverACheckpoint) {
  Take({12, 1});
  EXPECT_TRUE(absl::IsFailedPrecondition(Decide({}).status()));
  EXPECT_EQ(
      From({}),
      "run.folder /run holds a run that can be resumed, from /run/checkpoints/step-00000012.1: resume it (arcshard "
      "train --resume /run), take another run.folder, or start a new run with --restart, which puts its checkpoints "
      "aside");
}

TEST_F(StartFromTest, ARestartPutsCheckpointsAside) {
  EXPECT_EQ(From({.restart = true}), "");  // there is nothing to put aside
  Take({12, 1});
  EXPECT_EQ(From({.restart = true}), "");
  disk_.CutPower({});
  EXPECT_THAT(Names("/run"), ElementsAre("checkpoints-before-5"));
  EXPECT_THAT(Names("/run/checkpoints-before-5"), ElementsAre("step-00000012.1"));
}

TEST_F(StartFromTest, WhatARestartHasPutAsideComesBackUnlessTheRunBegins) {
  Take({12, 1});
  absl::StatusOr<StartPoint> start = Decide({.restart = true});
  ASSERT_TRUE(start.ok()) << start.status();
  EXPECT_EQ(start->put_aside, "/run/checkpoints-before-5");
  ASSERT_TRUE(disk_.CreateFolders("/run/checkpoints/step-00000001.5").ok());  // of a run that ended while it began
  { const RestartUndo refused(&disk_, "/run", start->put_aside); }
  disk_.CutPower({});
  EXPECT_THAT(Names("/run"), ElementsAre("checkpoints"));
  EXPECT_THAT(Names("/run/checkpoints"), ElementsAre("step-00000012.1"));

  start = Decide({.restart = true});
  ASSERT_TRUE(start.ok()) << start.status();
  {
    RestartUndo began(&disk_, "/run", start->put_aside);
    began.Keep();
  }
  EXPECT_THAT(Names("/run"), ElementsAre("checkpoints-before-5"));

  // A run that has complete checkpoints is not replaced.
  Take({3, 5});
  { const RestartUndo late(&disk_, "/run", start->put_aside); }
  EXPECT_THAT(Names("/run"), ElementsAre("checkpoints", "checkpoints-before-5"));
  { const RestartUndo nothing(&disk_, "/run", ""); }
  EXPECT_THAT(Names("/run/checkpoints"), ElementsAre("step-00000003.5"));
}

TEST_F(StartFromTest, ARestartThatIsRefusedPutsNothingAside) {
  Take({12, 1});
  config_.init_from.checkpoint = "/nowhere";
  EXPECT_THAT(From({.restart = true}), HasSubstr("/nowhere"));
  EXPECT_THAT(Names("/run"), ElementsAre("checkpoints"));
  Take({20, 1}, "/other");
  disk_.SetContents(absl::StrCat("/other/checkpoints/step-00000020.1/", kManifestName), "{}");
  config_.init_from.checkpoint = "/other";
  EXPECT_TRUE(absl::IsDataLoss(Decide({.restart = true}).status()));
  EXPECT_THAT(Names("/run"), ElementsAre("checkpoints"));
  EXPECT_EQ(From(kYes), "/run/checkpoints/step-00000012.1");
}

TEST_F(StartFromTest, ARestartFromOnesOwnWeightsFindsThemWhereTheyWerePut) {
  Take({12, 1});
  Take({14, 1});
  for (const char* own : {"/run", "/run/", "/run/checkpoints/step-00000014.1/"}) {
    MemoryFileSystem disk(disk_);
    config_.init_from.checkpoint = own;
    const absl::StatusOr<StartPoint> start = DecideStart(&disk, config_, {.restart = true}, 5);
    ASSERT_TRUE(start.ok()) << start.status();
    EXPECT_EQ(start->config.init_from.checkpoint, "/run/checkpoints-before-5/step-00000014.1") << own;
    EXPECT_TRUE(disk.Open(absl::StrCat(start->config.init_from.checkpoint, "/", kManifestName)).ok());
  }
}

TEST_F(StartFromTest, ARestartFromAnothersWeightsLeavesTheirNames) {
  Take({12, 1});
  Take({3, 1}, "/run/checkpoints-of-old");
  config_.init_from.checkpoint = "/run/checkpoints-of-old";
  const absl::StatusOr<StartPoint> start = Decide({.restart = true});
  ASSERT_TRUE(start.ok()) << start.status();
  EXPECT_EQ(start->config.init_from.checkpoint, "/run/checkpoints-of-old/checkpoints/step-00000003.1");
}

TEST_F(StartFromTest, ARunThatGoesOnNeedsNotWhatItOnceBeganFrom) {
  config_.init_from.checkpoint = "/gone";
  Take({12, 1});
  EXPECT_EQ(From(kYes), "/run/checkpoints/step-00000012.1");
  EXPECT_EQ(From(kAuto), "/run/checkpoints/step-00000012.1");
}

TEST_F(StartFromTest, ARefusedConfigurationLeavesDamagedOnesTheirNames) {
  Take({8, 1});
  Take({12, 1});
  DamageManifest({12, 1});
  config_.data.batch_size = 256;
  EXPECT_THAT(From(kOlder), HasSubstr("data.batch_size is 256, but was 128"));
  EXPECT_THAT(Names("/run/checkpoints"), ElementsAre("step-00000008.1", "step-00000012.1"));
}

TEST_F(StartFromTest, ADamagedNewestOneIsNamedAndPassedOverOnlyWhereAllowed) {
  Take({8, 1});
  Take({12, 1});
  DamageManifest({12, 1});
  EXPECT_TRUE(absl::IsDataLoss(Decide(kYes).status()));
  EXPECT_THAT(From(kAuto),
              AllOf(HasSubstr("/run/checkpoints/step-00000012.1/manifest.json"), HasSubstr("--allow-older")));
  EXPECT_EQ(From(kOlder), "/run/checkpoints/step-00000008.1");
  EXPECT_THAT(Names("/run/checkpoints"), ElementsAre("step-00000008.1", "step-00000012.1.damaged"));
  EXPECT_EQ(From(kYes), "/run/checkpoints/step-00000008.1");
}

TEST_F(StartFromTest, WhereOlderOnesAreAllowedEveryByteIsCheckedFirst) {
  Take({8, 1});
  Take({12, 1});
  Damage({12, 1});
  EXPECT_EQ(From(kYes), "/run/checkpoints/step-00000012.1");  // a member that restores it will find the damage
  EXPECT_EQ(From(kOlder), "/run/checkpoints/step-00000008.1");
  Damage({8, 1});
  EXPECT_THAT(From(kOlder), AllOf(HasSubstr("all 1 checkpoints of /run are damaged"),
                                  HasSubstr("step-00000008.1/backbone.safetensors")));
}

TEST_F(StartFromTest, AnotherConfigurationIsRefusedByTheKey) {
  Take({12, 1});
  config_.data.batch_size = 256;
  EXPECT_TRUE(absl::IsFailedPrecondition(Decide(kYes).status()));
  EXPECT_THAT(From(kYes), AllOf(HasSubstr("/run/checkpoints/step-00000012.1: data.batch_size is 256, but was 128"),
                                HasSubstr("init_from.checkpoint")));
}

TEST_F(StartFromTest, WhatWasImportedIsNoRunToGoOnWith) {
  config_yaml_ = "";
  Take({12, 1});
  EXPECT_THAT(From(kYes), HasSubstr("/run/checkpoints/step-00000012.1: was imported"));
}

TEST_F(StartFromTest, ANewRunNamesTheCheckpointThatItsWeightsComeFrom) {
  Take({12, 1}, "/other");
  config_.init_from.checkpoint = "/other";
  const absl::StatusOr<StartPoint> start = Decide({});
  ASSERT_TRUE(start.ok()) << start.status();
  EXPECT_EQ(start->config.init_from.checkpoint, "/other/checkpoints/step-00000012.1");
  EXPECT_FALSE(start->resume.has_value());
  config_.init_from.checkpoint = "/nowhere";
  EXPECT_THAT(From({}), HasSubstr("/nowhere"));
  Take({3, 1});
  EXPECT_EQ(From(kYes), "/run/checkpoints/step-00000003.1");  // the run has its own weights by now
}

}  // namespace
}  // namespace arcshard::coordinator
