// Runs that record their history (run.record), and `arcshard check`, which computes them again.
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "gmock/gmock.h"
#include "shard_server/record/record_file.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr int kFailed = 1;
constexpr char kEqual[] = ": equal";
constexpr char kAllEqual[] = "every bit is what the records lead to";

class CheckTest : public ProcessTestBase {
 protected:
  static std::vector<std::string> Recorded(std::vector<std::string> more) {
    more.insert(more.end(),
                {"run.record=true", "run.deterministic=true", "cluster.worker_threads=1", "cluster.shard_threads=1"});
    return more;
  }
  // Trains a short run to its end.
  void TrainShort(const std::vector<std::string>& overrides) {
    Program launcher = Start("arcshard", SmallRun(overrides));
    ASSERT_TRUE(launcher.AwaitEnd().ok()) << launcher.output();
  }
  std::string RecordFolder() const { return shard::RecordFolder(Path("run")); }

  // The lines that arcshard check prints, which has to end with `status`.
  std::vector<std::string> Check(int status) const {
    Program check = Start("arcshard", {"check", Path("run")});
    EXPECT_EQ(check.AwaitEnd(), (cli::ProcessExit{.code = status})) << check.output();
    return absl::StrSplit(check.output(), '\n', absl::SkipEmpty());
  }

  // The states after the recorded steps, those that were undone too; by step.
  std::vector<StatePoint> Points() const {
    std::vector<StatePoint> points;
    const auto entries = RealFileSystem()->List(RecordFolder());
    EXPECT_TRUE(entries.ok()) << entries.status();
    for (const FileSystem::Entry& entry : entries.value_or(std::vector<FileSystem::Entry>())) {
      const auto point = shard::PointOfRecord(entry.name);
      EXPECT_TRUE(point.has_value()) << entry.name;
      points.push_back(point.value_or(StatePoint{}));
    }
    return points;
  }
  // Runs `during` while the record has the contents that `change` gives it, with the right checksum.
  template <typename Change, typename During>
  void WithChanged(const StatePoint& point, const Change& change, const During& during) const {
    auto step = shard::ReadRecord(RealFileSystem(), RecordFolder(), point);
    ASSERT_TRUE(step.ok()) << step.status();
    const std::shared_ptr<const shard::ReplayRecord> whole = step->record;
    auto changed = std::make_shared<shard::ReplayRecord>(*whole);
    change(changed.get());
    step->record = changed;
    ASSERT_TRUE(shard::WriteRecord(RealFileSystem(), RecordFolder(), *step).ok());
    during();
    step->record = whole;
    ASSERT_TRUE(shard::WriteRecord(RealFileSystem(), RecordFolder(), *step).ok());
  }
  // Runs `during` while a bit of the file, which is `from_end` bytes before its end, is flipped.
  template <typename During>
  void WithFlippedBit(const std::string& path, std::streamoff from_end, const During& during) const {
    const auto flip = [&] {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(-from_end, std::ios::end);
      const int byte = file.get();
      ASSERT_NE(byte, EOF);
      file.seekp(-from_end, std::ios::end);
      file.put(static_cast<char>(byte ^ 8));
    };
    flip();
    during();
    flip();
  }
};

// Flips the last bit of the mantissa.
void FlipLowestBit(float* value) {
  uint32_t bits;
  std::memcpy(&bits, value, sizeof(bits));
  bits ^= 1;
  std::memcpy(value, &bits, sizeof(bits));
}

TEST_F(CheckTest, ARunIsWhatItsRecordsLeadToAndAFlippedBitAnywhereIsFound) {
  TrainShort(Recorded({"schedule.epochs=0.02", "checkpoint.every_steps=10"}));
  const std::vector<StatePoint> points = Points();
  const uint64_t last = CheckpointSteps(Path("run")).at(0);
  ASSERT_GT(last, 20u);
  ASSERT_EQ(points.size(), last);
  const std::vector<std::string> lines = Check(0);
  ASSERT_GE(lines.size(), 12u);
  EXPECT_THAT(lines.front(), HasSubstr(absl::StrCat("steps 1 to ", last, " from the first weights")));
  EXPECT_EQ(lines.back(), kAllEqual);
  EXPECT_THAT(std::vector<std::string>(lines.begin() + 1, lines.end() - 1), Each(EndsWith(kEqual)));
  for (const char* file : {"class_centers-0-", "class_centers-482-", "backbone", "optimizer"}) {
    EXPECT_THAT(lines, Contains(StartsWith(absl::StrCat("step-00000020.1/", file))));
  }
  EXPECT_THAT(lines, Contains(StartsWith(absl::StrCat("labels, embeddings, r and t of steps 1 to ", last))));
  EXPECT_THAT(lines, Contains("model/backbone.safetensors: equal"));

  // A damaged record is named before anything is computed.
  const std::string record = absl::StrCat(RecordFolder(), "/", shard::RecordName(points[11]));
  WithFlippedBit(record, 1000, [&] {
    EXPECT_THAT(ErrorOf("arcshard", {"check", Path("run")}, kFailed), AllOf(StartsWith(record), HasSubstr("damaged")));
  });

  // So is a whole one with another input, by the computation.
  const auto expect_difference = [&](const char* what, auto change) {
    WithChanged(points[16], change, [&] {
      const std::vector<std::string> found = Check(kFailed);
      EXPECT_THAT(found, Contains(HasSubstr(absl::StrCat("step 17, micro-batch 3 of worker 1: ", what, " differs"))));
      EXPECT_THAT(found, Not(Contains(kAllEqual)));
    });
  };
  expect_difference("embedding",
                    [](shard::ReplayRecord* step) { FlipLowestBit(&step->micro_batches[3].embedding[5]); });
  expect_difference("r", [](shard::ReplayRecord* step) { FlipLowestBit(&step->micro_batches[3].r[1]); });
  expect_difference("t", [](shard::ReplayRecord* step) { FlipLowestBit(&step->micro_batches[3].t[2]); });
  expect_difference("labels", [](shard::ReplayRecord* step) { step->micro_batches[3].labels[0] ^= 1; });

  // And so are other bytes in a checkpoint.
  const std::string checkpoint = CheckpointFolder(Path("run"), {20, 1});
  const auto files = RealFileSystem()->List(checkpoint);
  ASSERT_TRUE(files.ok());
  for (const FileSystem::Entry& entry : *files) {
    if (entry.name == "manifest.json") continue;
    WithFlippedBit(absl::StrCat(checkpoint, "/", entry.name), 9, [&] {
      EXPECT_THAT(Check(kFailed), Contains(AllOf(StartsWith(absl::StrCat("step-00000020.1/", entry.name, ": ")),
                                                 Not(EndsWith(kEqual)))));
    });
  }
  WithFlippedBit(Path("run/model/backbone.safetensors"), 9,
                 [&] { EXPECT_THAT(Check(kFailed), Contains(StartsWith("model/backbone.safetensors: differs in "))); });
  Check(0);  // everything is as it was
}

TEST_F(CheckTest, SoIsOneWhoseTensorsTravelAsBfloat16AndOfWhichAShardWasRebuilt) {
  Program launcher = Start("arcshard", SmallRun(Recorded({"cluster.wire=bfloat16"})));
  launcher.AwaitLine("  step ");
  auto watch = cli::WatchClient::Start(Listing::Of(Path("run")).coordinator);
  ASSERT_TRUE(watch.ok()) << watch.status();
  AwaitSteps(watch->get(), 5);
  ASSERT_EQ(kill(Listing::Of(Path("run")).Find("shard", 1).pid, SIGKILL), 0);
  AwaitSteps(watch->get(), 5);
  launcher.Signal(SIGINT);
  ASSERT_TRUE(launcher.AwaitEnd().ok()) << launcher.output();
  const std::vector<std::string> lines = Check(0);
  EXPECT_EQ(lines.back(), kAllEqual);
  EXPECT_THAT(lines, Contains("model/backbone.safetensors: equal"));
}

TEST_F(CheckTest, SoIsOneInWhichProcessesWereKilledAndThatGoesOnWithOthers) {
  Program launcher = Start("arcshard", SmallRun(Recorded({"checkpoint.every_steps=40", "cluster.rejoin_grace=0s"})));
  launcher.AwaitLine("  step ");
  auto watch = cli::WatchClient::Start(Listing::Of(Path("run")).coordinator);
  ASSERT_TRUE(watch.ok()) << watch.status();
  const auto kill_one = [&](const char* role, uint32_t index) {
    AwaitSteps(watch->get(), 8);
    ASSERT_EQ(kill(Listing::Of(Path("run")).Find(role, index).pid, SIGKILL), 0);
    AwaitSteps(watch->get(), 8);
  };
  kill_one("worker", 1);
  kill_one("shard", 0);
  kill_one("worker", 0);
  kill_one("shard", 1);
  launcher.Signal(SIGINT);
  ASSERT_TRUE(launcher.AwaitEnd().ok()) << launcher.output();
  EXPECT_THAT(Check(0), Contains(AllOf(HasSubstr("computed again in "), HasSubstr(" views: equal"))));

  Program resumed = Start("arcshard", {"train", "--resume", Path("run"), "--shards", "1", "--workers", "3"});
  resumed.AwaitLine("  step ");
  auto again = cli::WatchClient::Start(Listing::Of(Path("run")).coordinator);
  ASSERT_TRUE(again.ok()) << again.status();
  AwaitSteps(again->get(), 5);
  resumed.Signal(SIGINT);
  ASSERT_TRUE(resumed.AwaitEnd().ok()) << resumed.output();
  const std::vector<std::string> lines = Check(0);
  EXPECT_EQ(lines.back(), kAllEqual);
  EXPECT_THAT(lines.front(), HasSubstr("from the first weights"));
  EXPECT_THAT(lines, Contains("model/backbone.safetensors: equal"));
}

TEST_F(CheckTest, StepsThatARollbackUndoesKeepTheirRecordsAndAreNoPartOfTheHistory) {
  // No other shard has a log, so that its death takes the run back to the last checkpoint.
  Program launcher = Start("arcshard", SmallRun(Recorded({"checkpoint.every_steps=30", "cluster.shards=1"})));
  launcher.AwaitLine("  step ");
  auto watch = cli::WatchClient::Start(Listing::Of(Path("run")).coordinator);
  ASSERT_TRUE(watch.ok()) << watch.status();
  // Between two checkpoints, with steps that will be undone.
  AwaitReport(watch->get(), [](const v1::Progress& report) {
    return report.checkpoint_step() > 0 && report.step() > report.checkpoint_step() + 2;
  });
  ASSERT_EQ(kill(Listing::Of(Path("run")).Find("shard", 0).pid, SIGKILL), 0);
  AwaitReport(watch->get(), [](const v1::Progress& report) { return report.lost_steps() > 0; });
  AwaitSteps(watch->get(), 5);
  launcher.Signal(SIGINT);
  ASSERT_TRUE(launcher.AwaitEnd().ok()) << launcher.output();
  EXPECT_GT(Points().size(), CheckpointSteps(Path("run")).at(0)) << "the records of the undone steps are gone";
  EXPECT_EQ(Check(0).back(), kAllEqual);
}

TEST_F(CheckTest, WithoutDeterministicOnlyTheClassCentersAreComputedAgainAndItSaysSo) {
  TrainShort({"run.record=true", "schedule.epochs=0.01", "cluster.shards=1"});
  const std::vector<std::string> lines = Check(0);
  EXPECT_THAT(lines, Contains(StartsWith("run.deterministic is off: the backbone cannot be computed again")));
  EXPECT_THAT(lines, Contains(HasSubstr("class_centers-0-964.safetensors: equal")));
  EXPECT_THAT(lines, Not(Contains(HasSubstr("backbone.safetensors"))));
}

TEST_F(CheckTest, WhatCannotBeCheckedGetsASentence) {
  EXPECT_THAT(ErrorOf("arcshard", {"check", Path("nothing")}, kFailed),
              AllOf(HasSubstr(Path("nothing")), HasSubstr("has no records")));
  TrainShort(Recorded({"schedule.epochs=0.005"}));
  EXPECT_THAT(ErrorOf("arcshard", {"check", Path("run"), "--data", Path("nowhere")}, kFailed),
              HasSubstr(Path("nowhere")));
  std::filesystem::remove(absl::StrCat(RecordFolder(), "/", shard::RecordName(Points()[2])));
  EXPECT_THAT(ErrorOf("arcshard", {"check", Path("run")}, kFailed), HasSubstr("has a gap: step 4 went on from"));
}

TEST_F(CheckTest, ADiskOnWhichRecordsCannotBeKeptEndsTheRunWithASentence) {
  // A file is in the place of the folder.
  std::filesystem::create_directories(Path("run"));
  Write("run/record", "");
  Program launcher = Start("arcshard", SmallRun(Recorded({"schedule.epochs=0.005"})));
  EXPECT_FALSE(launcher.AwaitEnd().ok());
  EXPECT_THAT(launcher.output(), HasSubstr(Path("run/record")));
}

}  // namespace
}  // namespace arcshard
