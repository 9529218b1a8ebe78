#include "common/checkpoint/checkpoint_folder.h"

#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/checkpoint/testing/checkpoint_test_kit.h"
#include "common/io/forwarding_file_system.h"
#include "common/io/testing/faulty_file_system.h"
#include "common/io/testing/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kRun[] = "/run";

// A disk that another process uses too: `meddle` is called with each folder after it was listed.
class SharedDisk final : public ForwardingFileSystem {
 public:
  SharedDisk(FileSystem* files, std::function<void(const std::string&)> meddle)
      : ForwardingFileSystem(files), meddle_(std::move(meddle)) {}

  absl::StatusOr<std::vector<Entry>> List(const std::string& path) override {
    absl::StatusOr<std::vector<Entry>> entries = ForwardingFileSystem::List(path);
    meddle_(path);
    return entries;
  }

 private:
  const std::function<void(const std::string&)> meddle_;
};

class CheckpointFolderTest : public ::testing::Test {
 protected:
  void Take(const CheckpointId& id) { ASSERT_EQ(TakeTestCheckpoint(&disk_, kRun, id), absl::OkStatus()); }
  std::string Folder(const CheckpointId& id) { return CheckpointFolder(kRun, id); }

  MemoryFileSystem disk_;
};

TEST_F(CheckpointFolderTest, CompleteOnesAreListedFromTheNewestOn) {
  EXPECT_THAT(*ListCheckpoints(&disk_, kRun), IsEmpty()) << "no folder yet";
  Take({9, 1});
  Take({123456789, 1});
  Take({10, 2});
  Take({10, 10});
  Take({10, 2, 11});
  Take({10, 2, 3});
  ASSERT_TRUE(disk_.CreateFolders(Folder({99, 1})).ok());  // being written
  for (const char* name : {"step-00000010.2.damaged", "step-10.2", "step-00000010", "step-00000010.02",
                           "step-0000001x.1", "step-+0000010.2", "step-00000010.2.1", "step-00000010.2.03",
                           "step-00000010.2.x", "step-00000010.2.", "step-00000010.2.3.4", "other"}) {
    const std::string folder = absl::StrCat(CheckpointsOf(kRun), "/", name);
    ASSERT_TRUE(disk_.CreateFolders(folder).ok());
    ASSERT_TRUE(disk_.Create(absl::StrCat(folder, "/", kManifestName)).ok());
  }
  ASSERT_TRUE(disk_.CreateFolders(absl::StrCat(Folder({98, 1}), "/", kManifestName)).ok());
  EXPECT_THAT(*ListCheckpoints(&disk_, kRun),
              ElementsAre(CheckpointId{123456789, 1}, CheckpointId{10, 10}, CheckpointId{10, 2, 11},
                          CheckpointId{10, 2, 3}, CheckpointId{10, 2}, CheckpointId{9, 1}));
}

TEST_F(CheckpointFolderTest, EachViewHasAFolderOfItsOwn) {
  EXPECT_EQ(Folder({17, 2}), "/run/checkpoints/step-00000017.2");
  EXPECT_EQ(Folder({17, 2, 1}), "/run/checkpoints/step-00000017.2") << "the first view of an incarnation";
  EXPECT_EQ(Folder({17, 2, 3}), "/run/checkpoints/step-00000017.2.3");
  Take({17, 2, 2});
  Take({17, 2, 3});
  ASSERT_TRUE(disk_.CreateFolders(Folder({17, 2, 4})).ok());
  EXPECT_EQ(*ResolveCheckpoint(&disk_, kRun), Folder({17, 2, 3}));
  EXPECT_EQ(OpenCheckpoint::Open(&disk_, Folder({17, 2, 3}))->manifest().view_counter, 3u);
  EXPECT_THAT(*CleanUp(&disk_, kRun), ElementsAre(Folder({17, 2, 4})));
  EXPECT_EQ(CheckTestCheckpoint(&disk_, Folder({17, 2, 2}), {17, 2, 2}), absl::OkStatus());
}

TEST_F(CheckpointFolderTest, TheLargestNumbersHaveAFolderToo) {
  constexpr uint64_t kLargest = std::numeric_limits<uint64_t>::max();
  Take({kLargest, kLargest, kLargest});
  EXPECT_THAT(*ListCheckpoints(&disk_, kRun), ElementsAre(CheckpointId{kLargest, kLargest, kLargest}));
}

TEST_F(CheckpointFolderTest, RetentionKeepsTheLastAndEveryNth) {
  const std::vector<CheckpointId> complete = {{500, 2}, {400, 2}, {350, 2}, {300, 1}, {200, 1}, {100, 1}};
  EXPECT_THAT(Superseded(complete, {.keep_last = 3}),
              ElementsAre(CheckpointId{300, 1}, CheckpointId{200, 1}, CheckpointId{100, 1}));
  EXPECT_THAT(Superseded(complete, {.keep_last = 1, .keep_every = 200}),
              ElementsAre(CheckpointId{350, 2}, CheckpointId{300, 1}, CheckpointId{100, 1}));
  EXPECT_THAT(Superseded(complete, {.keep_last = 6}), IsEmpty());
  EXPECT_THAT(Superseded(complete, {.keep_last = 100}), IsEmpty());
  EXPECT_THAT(Superseded({}, {.keep_last = 1}), IsEmpty());
  EXPECT_THAT(Superseded({{7, 1}}, {.keep_last = 0}), IsEmpty()) << "the newest never goes";
  EXPECT_THAT(Superseded({{7, 2}, {7, 1}}, {.keep_last = 1}), ElementsAre(CheckpointId{7, 1}));
  EXPECT_THAT(Superseded({{7, 2, 3}, {7, 2}}, {.keep_last = 1}), ElementsAre(CheckpointId{7, 2}));
}

TEST_F(CheckpointFolderTest, ARemovedOneIsGoneAndTheOthersAreNot) {
  Take({1, 1});
  Take({2, 1});
  EXPECT_EQ(RemoveCheckpoint(&disk_, Folder({1, 1})), absl::OkStatus());
  EXPECT_THAT(*disk_.List(CheckpointsOf(kRun)), ElementsAre(FileSystem::Entry{"step-00000002.1", true}));
  EXPECT_EQ(CheckTestCheckpoint(&disk_, Folder({2, 1}), {2, 1}), absl::OkStatus());
  EXPECT_EQ(RemoveCheckpoint(&disk_, Folder({1, 1})), absl::OkStatus()) << "once more does no harm";
}

TEST_F(CheckpointFolderTest, AManifestIsWrittenOnlyOverWhatIsThere) {
  Take({1, 1});
  Manifest manifest = OpenCheckpoint::Open(&disk_, Folder({1, 1}))->manifest();
  const std::string path = absl::StrCat(Folder({1, 1}), "/", kManifestName);
  EXPECT_EQ(WriteManifest(&disk_, Folder({1, 1}), manifest).code(), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(disk_.Remove(path).ok());

  const auto refused = [&](const Manifest& wrong, absl::StatusCode code, const std::string& reason) {
    const absl::Status status = WriteManifest(&disk_, Folder({1, 1}), wrong);
    EXPECT_EQ(status.code(), code);
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
    EXPECT_THAT(*ListCheckpoints(&disk_, kRun), IsEmpty());
  };
  Manifest wrong = manifest;
  wrong.files[0].name = "zzz.safetensors";
  refused(wrong, absl::StatusCode::kNotFound, "zzz.safetensors: was reported as written, but is not here");
  wrong = manifest;
  ++wrong.files[0].bytes;
  refused(wrong, absl::StatusCode::kDataLoss, "is run.folder the same disk for all processes?");
  wrong = manifest;
  wrong.files[0].name = "../elsewhere";
  refused(wrong, absl::StatusCode::kInvalidArgument, "cannot be a file's name");
  wrong = manifest;
  wrong.files.push_back(wrong.files[0]);
  refused(wrong, absl::StatusCode::kInvalidArgument, "is repeated");
  wrong = manifest;
  wrong.best.accuracy = std::numeric_limits<double>::quiet_NaN();
  refused(wrong, absl::StatusCode::kInvalidArgument, path);
  wrong = manifest;
  wrong.version = "\xff";
  refused(wrong, absl::StatusCode::kInvalidArgument, "not all UTF-8");

  std::swap(manifest.files.front(), manifest.files.back());  // reports come in any order
  EXPECT_EQ(WriteManifest(&disk_, Folder({1, 1}), manifest), absl::OkStatus());
  EXPECT_EQ(CheckTestCheckpoint(&disk_, Folder({1, 1}), {1, 1}), absl::OkStatus());
}

TEST_F(CheckpointFolderTest, AManifestThatMayNotLastIsTakenBack) {
  Take({1, 1});
  const Manifest manifest = OpenCheckpoint::Open(&disk_, Folder({1, 1}))->manifest();
  ASSERT_TRUE(disk_.Remove(absl::StrCat(Folder({1, 1}), "/", kManifestName)).ok());
  int failed = 0;
  for (int64_t at = 0; at < 20; ++at) {
    FaultyFileSystem faulty(&disk_, FaultKind::kSyncFails, at);
    const absl::Status status = WriteManifest(&faulty, Folder({1, 1}), manifest);
    if (!faulty.injected()) {
      ASSERT_EQ(status, absl::OkStatus());
      ASSERT_TRUE(disk_.Remove(absl::StrCat(Folder({1, 1}), "/", kManifestName)).ok());
      continue;
    }
    ++failed;
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(*ListCheckpoints(&disk_, kRun), IsEmpty());
  }
  EXPECT_EQ(failed, 2) << "of the file, and of the folder when it has its name already";
}

TEST_F(CheckpointFolderTest, CleaningUpTakesOnlyWhatIsUnfinished) {
  Take({1, 1});
  Take({2, 1});
  ASSERT_TRUE(disk_.Remove(absl::StrCat(Folder({2, 1}), "/", kManifestName)).ok());
  ASSERT_TRUE(disk_.Create(Folder({1, 1}) + "/backbone.safetensors.tmp-17-0").ok());
  ASSERT_TRUE(disk_.CreateFolders(absl::StrCat(CheckpointsOf(kRun), "/mine")).ok());
  ASSERT_TRUE(disk_.CreateFolders(Folder({3, 1}) + ".damaged").ok());
  EXPECT_THAT(*CleanUp(&disk_, kRun), ElementsAre(Folder({1, 1}) + "/backbone.safetensors.tmp-17-0", Folder({2, 1})));
  EXPECT_THAT(*disk_.List(CheckpointsOf(kRun)),
              ElementsAre(FileSystem::Entry{"mine", true}, FileSystem::Entry{"step-00000001.1", true},
                          FileSystem::Entry{"step-00000003.1.damaged", true}));
  EXPECT_EQ(CheckTestCheckpoint(&disk_, Folder({1, 1}), {1, 1}), absl::OkStatus());
  EXPECT_THAT(*CleanUp(&disk_, "/no/such/run"), IsEmpty());
}

TEST_F(CheckpointFolderTest, CleaningUpRemovesWhatAKillHasLeftOfTheModelAndOfTheCoordinatorsFiles) {
  const std::string run = kRun, model = run + "/model";
  ASSERT_TRUE(disk_.CreateFolders(model).ok());
  for (const std::string& path :
       {model + "/backbone.safetensors", model + "/class_centers-0-9.safetensors.tmp-17-3", model + "/mine.tmp-x",
        run + "/config.yaml", run + "/config.yaml.tmp-17-0", run + "/incarnation.tmp-17-1",
        run + "/devices.json.tmp-17-2", run + "/processes.json.tmp-18-0", run + "/report.html.tmp-19-0"}) {
    ASSERT_TRUE(disk_.Create(path).ok());
  }
  EXPECT_THAT(*CleanUp(&disk_, kRun),
              ElementsAre(model + "/class_centers-0-9.safetensors.tmp-17-3", run + "/config.yaml.tmp-17-0",
                          run + "/devices.json.tmp-17-2", run + "/incarnation.tmp-17-1"));
  EXPECT_THAT(*disk_.List(model),
              ElementsAre(FileSystem::Entry{"backbone.safetensors", false}, FileSystem::Entry{"mine.tmp-x", false}));
}

// After a failure the coordinator may restart before the other processes have ended.
TEST_F(CheckpointFolderTest, CleaningUpGetsByWithAProcessThatIsStillClearingUp) {
  Take({1, 1});
  const std::string whole = Folder({1, 1}) + "/backbone.safetensors.tmp-17-0";
  const std::string torn = Folder({2, 1}) + "/backbone.safetensors.tmp-17-1";
  ASSERT_TRUE(disk_.CreateFolders(Folder({2, 1})).ok());
  for (const std::string& path : {whole, torn}) ASSERT_TRUE(disk_.Create(path).ok());
  SharedDisk shared(&disk_, [&](const std::string& folder) {
    if (folder == Folder({2, 1})) disk_.Remove(torn).IgnoreError();
    if (folder == Folder({1, 1})) disk_.Remove(whole).IgnoreError();
  });
  EXPECT_THAT(*CleanUp(&shared, kRun), ElementsAre(whole, Folder({2, 1})));
  EXPECT_THAT(*disk_.List(CheckpointsOf(kRun)), ElementsAre(FileSystem::Entry{"step-00000001.1", true}));
  EXPECT_EQ(CheckTestCheckpoint(&disk_, Folder({1, 1}), {1, 1}), absl::OkStatus());
}

TEST_F(CheckpointFolderTest, AFolderThatIsStillWrittenToStaysUntilTheNextStart) {
  ASSERT_TRUE(disk_.CreateFolders(Folder({2, 1})).ok());
  int files = 0;
  SharedDisk shared(&disk_, [&](const std::string& folder) {
    if (folder == Folder({2, 1})) (void)disk_.Create(absl::StrCat(folder, "/class_centers.tmp-17-", files++));
  });
  EXPECT_THAT(*CleanUp(&shared, kRun), IsEmpty());
  EXPECT_THAT(*ListCheckpoints(&disk_, kRun), IsEmpty()) << "it is no checkpoint";
  EXPECT_THAT(*CleanUp(&disk_, kRun), ElementsAre(Folder({2, 1})));
}

TEST_F(CheckpointFolderTest, APathMeansItsCheckpointOrTheNewestOfARun) {
  Take({1, 1});
  Take({2, 1});
  EXPECT_EQ(*ResolveCheckpoint(&disk_, kRun), Folder({2, 1}));
  EXPECT_EQ(*ResolveCheckpoint(&disk_, absl::StrCat(kRun, "/")), Folder({2, 1}));
  EXPECT_EQ(*ResolveCheckpoint(&disk_, Folder({1, 1})), Folder({1, 1}));
  EXPECT_EQ(*ResolveCheckpoint(&disk_, Folder({1, 1}) + "/"), Folder({1, 1}));
  for (const std::string& path : {std::string("/elsewhere"), CheckpointsOf(kRun), std::string("/")}) {
    const absl::Status status = ResolveCheckpoint(&disk_, path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  }
}

}  // namespace
}  // namespace arcshard
