// Real runs that survive the death of any one process: no step is lost, and the weights have the same bits.
#include <csignal>
#include <cstdint>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "tests/process/testing/short_run.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Victim = std::pair<std::string, uint32_t>;

constexpr absl::Duration kMostDelay = absl::Milliseconds(60);  // within a step or two

class RecoveryTest : public ShortRunTest {
 protected:
  // Waits for the orderly end of a run that has recovered so many times, and expects that nothing was lost.
  void ExpectNothingLost(Training* run, const std::string& recovered) const {
    EXPECT_TRUE(run->launcher.AwaitEnd().ok()) << run->launcher.output();
    EXPECT_THAT(run->launcher.output(), AllOf(HasSubstr(absl::StrCat("\ntrained ", kSteps, " of ", kSteps, " steps ")),
                                              HasSubstr(absl::StrCat("\n", recovered, ", no step was lost\n"))));
    EXPECT_THAT(LinesWith("the run goes back"), IsEmpty());
  }
};

class LossOfOneTest : public RecoveryTest, public ::testing::WithParamInterface<Victim> {};

TEST_P(LossOfOneTest, AtAnyMomentCostsNoStepAndNoBit) {
  std::mt19937 random(PrintedSeed());
  const uint64_t step = 41 + random() % 200;
  const absl::Duration delay = kMostDelay * (static_cast<double>(random() % 1000) / 1000);
  SCOPED_TRACE(absl::StrCat("after step ", step, " and ", absl::FormatDuration(delay)));
  const auto expected = Undisturbed();
  Training run = StartTraining(step);
  absl::SleepFor(delay);
  Kill(run, {GetParam()});
  AwaitRecovery(&run);
  ExpectOthersLive(run, {GetParam()});
  ExpectNothingLost(&run, "recovered once");
  ExpectSameModel(ModelOf(Path("run")), expected);
}

INSTANTIATE_TEST_SUITE_P(Of, LossOfOneTest,
                         ::testing::Values(Victim("coordinator", 0), Victim("shard", 0), Victim("shard", 1),
                                           Victim("worker", 0), Victim("worker", 1)),
                         [](const auto& chosen) { return absl::StrCat(chosen.param.first, chosen.param.second); });

TEST_F(RecoveryTest, EveryProcessMayDieInTheSameRun) {
  const auto expected = Undisturbed();
  Training run = StartTraining(45);
  for (const Listing::Entry& victim : run.listing.processes) {
    ASSERT_EQ(kill(victim.pid, SIGKILL), 0);
    AwaitRecovery(&run);
    run.launcher.AwaitLine("  step ");
  }
  ExpectNothingLost(&run, absl::StrCat("recovered ", run.listing.processes.size(), " times"));
  ExpectSameModel(ModelOf(Path("run")), expected);
}

TEST_F(RecoveryTest, TheDeathOfTwoShardsAtOnceCostsNothingWhileAThirdHasTheLog) {
  const auto expected = Undisturbed({"cluster.shards=3"});
  Training run = StartTraining(60, {"cluster.shards=3"});
  Kill(run, {{"shard", 0}, {"shard", 2}});
  AwaitRecovery(&run);
  run.launcher.AwaitLine("  step ");
  ExpectOthersLive(run, {{"shard", 0}, {"shard", 2}});
  ExpectNothingLost(&run, "recovered once");
  ExpectSameModel(ModelOf(Path("run")), expected);
}

TEST_F(RecoveryTest, AProcessThatIsStoppedForLongGetsItsPlaceBack) {
  const auto expected = Undisturbed();
  Training run = StartTraining(45, {"cluster.heartbeat_interval=500ms", "cluster.heartbeat_timeout=3s"});
  for (const Victim& victim : {Victim("shard", 1), Victim("worker", 0)}) {
    const pid_t pid = run.listing.Find(victim.first, victim.second).pid;
    ASSERT_EQ(kill(pid, SIGSTOP), 0);
    run.launcher.AwaitLine("no sign of life for 3");
    ASSERT_EQ(kill(pid, SIGCONT), 0);
    EXPECT_THAT(AwaitRecovery(&run), HasSubstr(absl::StrCat("(pid ", pid, " on ")));
    run.launcher.AwaitLine("  step ");
  }
  ExpectOthersLive(run, {});
  ExpectNothingLost(&run, "recovered 2 times");
  ExpectSameModel(ModelOf(Path("run")), expected);
}

TEST_F(RecoveryTest, ACoordinatorThatIsStoppedForLongGoesOn) {
  const auto expected = Undisturbed();
  Training run = StartTraining(45, {"cluster.heartbeat_interval=500ms", "cluster.heartbeat_timeout=3s"});
  const pid_t coordinator = run.listing.Find("coordinator", 0).pid;
  ASSERT_EQ(kill(coordinator, SIGSTOP), 0);
  for (const Listing::Entry& process : run.listing.processes) {
    if (process.pid != coordinator) AwaitText(process.log, "lost the coordinator at ");
  }
  ASSERT_EQ(kill(coordinator, SIGCONT), 0);
  AwaitRecovery(&run);
  ExpectOthersLive(run, {});
  EXPECT_TRUE(run.launcher.AwaitEnd().ok()) << run.launcher.output();
  EXPECT_THAT(run.launcher.output(), HasSubstr(", no step was lost\n"));
  ExpectSameModel(ModelOf(Path("run")), expected);
}

}  // namespace
}  // namespace arcshard
