// Losses that cannot be made good: the run goes back to its last checkpoint, while the processes that are left live on,
// and one sentence says how far.
#include <cinttypes>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "tests/process/testing/short_run.h"
#include "tests/process/testing/small_disk.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using Victims = std::vector<std::pair<std::string, uint32_t>>;

class RollbackTest : public ShortRunTest {
 protected:
  struct Rollback {
    uint64_t from = 0;
    uint64_t to = 0;
    std::string reason;
    uint64_t lost() const { return from - to; }
  };

  // What the coordinator's log says of the run's only rollback.
  Rollback TheRollback() const {
    const std::vector<std::string> lines = LinesWith("warning: the run goes back from step ");
    EXPECT_THAT(lines, SizeIs(1));
    const std::string line = lines.empty() ? "" : lines.front();
    const std::string because = ", because ";
    Rollback rollback;
    uint64_t lost = 0;
    const size_t sentence = line.find("the run goes back"), reason = line.find(because);
    if (sentence == std::string::npos || reason == std::string::npos) return rollback;
    EXPECT_EQ(std::sscanf(line.c_str() + sentence,
                          "the run goes back from step %" SCNu64 " to step %" SCNu64 ", the checkpoint %*[^,], and "
                          "%" SCNu64 " step",
                          &rollback.from, &rollback.to, &lost),
              3)
        << line;
    rollback.reason = line.substr(reason + because.size());
    EXPECT_EQ(lost, rollback.lost());
    EXPECT_THAT(line, HasSubstr(absl::StrFormat("/checkpoints/step-%08d.1", rollback.to)));
    return rollback;
  }

  // Kills the victims at once in a run with these members, and expects that it goes back because of `reason`, which a
  // step completes, ends in order, and leaves the model of an undisturbed one.
  void GoesBack(const std::vector<std::string>& members, const Victims& victims, const std::string& reason) {
    const auto expected = Undisturbed(members);
    Training run = StartTraining(60, members);
    Kill(run, victims);
    const std::string told = AwaitRecovery(&run);
    ExpectOthersLive(run, victims);
    EXPECT_TRUE(run.launcher.AwaitEnd().ok()) << run.launcher.output();
    const Rollback rollback = TheRollback();
    EXPECT_EQ(rollback.to % kCheckpointEvery, 0u);
    EXPECT_EQ(rollback.reason, absl::StrCat(reason, rollback.from));
    EXPECT_THAT(told, HasSubstr(absl::StrCat("the run goes back from step ", rollback.from, " to step ", rollback.to)));
    EXPECT_THAT(run.launcher.output(),
                AllOf(HasSubstr(absl::StrCat("\ntrained ", kSteps, " of ", kSteps, " steps ")),
                      HasSubstr(absl::StrCat("\nrecovered once, ", rollback.lost(),
                                             rollback.lost() == 1 ? " step was lost\n" : " steps were lost\n"))));
    ExpectSameModel(ModelOf(Path("run")), expected);
  }
};

TEST_F(RollbackTest, TheDeathOfTheOnlyShardTakesTheOthersBack) {
  GoesBack({"cluster.shards=1"}, {{"shard", 0}}, "no shard holds the state after step ");
}

TEST_F(RollbackTest, TheDeathOfTheOnlyWorkerTakesTheShardsBack) {
  GoesBack({"cluster.workers=1"}, {{"worker", 0}}, "no worker holds the state after step ");
}

TEST_F(RollbackTest, TheDeathOfAllShardsAtOnceTakesTheWorkersBack) {
  GoesBack({}, {{"shard", 0}, {"shard", 1}}, "no shard holds the state after step ");
}

TEST_F(RollbackTest, TheDeathOfAllWorkersAtOnceTakesTheShardsBack) {
  GoesBack({}, {{"worker", 0}, {"worker", 1}}, "no worker holds the state after step ");
}

TEST_F(RollbackTest, BeforeTheFirstCheckpointTheRunGoesBackToItsFirstWeights) {
  const auto expected = Undisturbed();
  Program launcher = Start("arcshard", ShortRun({"checkpoint.every_steps=1000"}));
  launcher.AwaitLine("  step ");
  const Listing listing = Listing::Of(Path("run"));
  auto watch = cli::WatchClient::Start(listing.coordinator);
  ASSERT_TRUE(watch.ok()) << watch.status();
  AwaitSteps(watch->get(), 10);
  for (const uint32_t shard : {0, 1}) ASSERT_EQ(kill(listing.Find("shard", shard).pid, SIGKILL), 0);
  EXPECT_TRUE(launcher.AwaitEnd().ok()) << launcher.output();
  const std::vector<std::string> lines = LinesWith("warning: the run goes back from step ");
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines.front(), AllOf(HasSubstr(" to step 0, the first weights, and "),
                                   HasSubstr(" lost, because no shard holds the state after step ")));
  ExpectSameModel(ModelOf(Path("run")), expected);
}

// Half of the log asks for a checkpoint, which cannot be written. So the log is dropped when it is full.
TEST_F(RollbackTest, ALostShardWithoutALogTakesTheRunBackAndTrainingNeverStops) {
  const SmallDisk disk(Path("run/checkpoints"), 64);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a small disk needs root: " << disk.why_not();
  Training run = StartTraining(
      10, {"cluster.log_mb=1", "backbone.embedding_size=512", "schedule.epochs=1000", "checkpoint.keep_last=1"});
  disk.Fill();
  const v1::Progress dropped =
      AwaitReport(run.watch.get(), [](const v1::Progress& report) { return !report.recoverable(); });
  EXPECT_THAT(dropped.checkpoint_failure(), HasSubstr("No space left on device"));
  AwaitSteps(run.watch.get(), 20);
  Kill(run, {{"shard", 1}});
  AwaitRecovery(&run);
  ExpectOthersLive(run, {{"shard", 1}});
  const Rollback rollback = TheRollback();
  EXPECT_EQ(rollback.to, dropped.checkpoint_step());
  EXPECT_THAT(rollback.reason,
              ::testing::MatchesRegex(absl::StrCat("shard [01] has to be rebuilt, but no shard that holds the state "
                                                   "after step ",
                                                   rollback.from, " has a log that begins at step ", rollback.to)));
  disk.MakeRoom();
  AwaitReport(run.watch.get(), [&](const v1::Progress& report) {
    return report.recoverable() && report.checkpoint_step() > rollback.from;
  });
  run.launcher.Signal(SIGINT);
  EXPECT_TRUE(run.launcher.AwaitEnd().ok()) << run.launcher.output();
  EXPECT_THAT(run.launcher.output(),
              AllOf(HasSubstr("\nwarning: the replay log is not whole: a shard that is lost now takes the run back"),
                    HasSubstr("\nthe replay log is whole again: a lost shard costs no steps\n")));
}

}  // namespace
}  // namespace arcshard
