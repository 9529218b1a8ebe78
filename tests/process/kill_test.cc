// Kills processes of a run at any moment, again and again, while checkpoints are taken back to back.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/open_checkpoint.h"
#include "gmock/gmock.h"
#include "tests/process/testing/cluster.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kKills = 50;                                     // that one run survives
constexpr int kStops = 25;                                     // of everything
constexpr uint64_t kMostSteps = 12;                            // before a kill
constexpr absl::Duration kMostDelay = absl::Milliseconds(60);  // within a step or two

class KillTest : public ProcessTestBase {
 protected:
  absl::Duration SomeDelay() { return kMostDelay * (static_cast<double>(random_() % 1000) / 1000); }

  // What the coordinator has reported before everything was killed.
  struct Known {
    uint64_t resumed = 0;
    uint64_t step = 0;        // decided
    uint64_t checkpoint = 0;  // complete
  };
  static void Note(const std::vector<v1::Progress>& reports, Known* known) {
    for (const v1::Progress& report : reports) {
      known->resumed = report.resumed_step();
      known->step = std::max<uint64_t>(known->step, report.step());
      known->checkpoint = std::max<uint64_t>(known->checkpoint, report.checkpoint_step());
    }
  }

  // Waits for the first report and for `steps` steps after it; 0: the run has only begun then. Fails the test if the
  // run fails or ends before that.
  static void AwaitSomeSteps(cli::WatchClient* watch, uint64_t steps, Known* known) {
    for (std::optional<uint64_t> first; !first.has_value() || (steps > 0 && known->step <= *first + steps);) {
      const std::vector<v1::Progress> reports = AwaitReports(watch);
      Note(reports, known);
      for (const v1::Progress& report : reports) {
        EXPECT_NE(report.phase(), v1::Progress::PHASE_FAILED) << report.waiting_for();
      }
      if (reports.empty()) ADD_FAILURE() << "the run has ended after step " << known->step;
      if (HasFailure()) return;
      if (!first.has_value()) first = known->step;
    }
  }

  // Starts the run, and kills the launcher, and all others with it, `steps` steps and `delay` after the first report.
  Known LiveAndDie(const std::vector<std::string>& arguments, uint64_t steps, absl::Duration delay) {
    Program launcher = Start("arcshard", arguments);
    launcher.AwaitLine("waiting for");  // the coordinator listens
    auto watch = cli::WatchClient::Start(Listing::Of(Path("run")).coordinator);
    EXPECT_TRUE(watch.ok()) << watch.status();
    Known known;
    AwaitSomeSteps(watch->get(), steps, &known);
    if (HasFailure()) return known;
    absl::SleepFor(delay);
    const Listing now = Listing::Of(Path("run"));  // all have been started by now
    launcher.Signal(SIGKILL);
    EXPECT_EQ(launcher.AwaitEnd(), (cli::ProcessExit{.signal = SIGKILL})) << launcher.output();
    for (const Listing::Entry& process : now.processes) AwaitDeath(process.pid);
    AwaitEndOfReports(watch->get());
    Note((*watch)->Take(), &known);
    return known;
  }

  // Checks run/checkpoints: complete checkpoints are intact, and at most one was being written. Returns the step of the
  // newest complete one.
  uint64_t CheckCheckpoints() {
    const auto complete = ListCheckpoints(RealFileSystem(), Path("run"));
    EXPECT_TRUE(complete.ok()) << complete.status();
    if (!complete.ok() || complete->empty()) return 0;
    for (const CheckpointId& id : *complete) {
      const auto checkpoint = OpenCheckpoint::Open(RealFileSystem(), CheckpointFolder(Path("run"), id));
      const absl::Status whole = checkpoint.ok() ? checkpoint->Verify() : checkpoint.status();
      EXPECT_TRUE(whole.ok()) << whole;
    }
    const auto folders = RealFileSystem()->List(CheckpointsOf(Path("run")));
    EXPECT_TRUE(folders.ok()) << folders.status();
    const std::string newest = CheckpointFolder(Path("run"), complete->front());
    if (folders.ok()) {
      EXPECT_LE(std::count_if(folders->begin(), folders->end(),
                              [&](const auto& one) { return CheckpointsOf(Path("run")) + "/" + one.name > newest; }),
                1);
    }
    return complete->front().step;
  }

  std::mt19937 random_{PrintedSeed()};
};

TEST_F(KillTest, ARunSurvivesFiftyDeathsAndHasTheBitsOfOneWithout) {
  const std::vector<std::string> constant_rate = {"run.deterministic=true", "schedule.kind=steps",
                                                  "schedule.drop_factor=1", "schedule.warmup_epochs=0"};
  std::vector<std::string> overrides = constant_rate;
  // A lost worker is always waited for, so every step has the same members.
  overrides.insert(overrides.end(), {"checkpoint.every_steps=1", "checkpoint.keep_last=2", "cluster.rejoin_grace=10m"});
  SmallRun();
  Cluster cluster({.config = Path("run.yaml"), .overrides = overrides, .logs = folder()});
  cluster.AwaitSteps(1);
  for (int kill = 0; kill < kKills; ++kill) {
    const size_t victim = random_() % cluster.size();
    const uint64_t steps = random_() % (kMostSteps + 1);
    const absl::Duration delay = SomeDelay();
    SCOPED_TRACE(absl::StrCat("kill ", kill, " of ", cluster.name(victim), " after ", steps, " steps and ",
                              absl::FormatDuration(delay)));
    cluster.AwaitSteps(steps);
    absl::SleepFor(delay);
    cluster.Kill(victim);
    if (HasFailure()) return;
  }
  cluster.AwaitSteps(1);
  cluster.Signal(0, SIGTERM);
  const v1::Progress last = cluster.AwaitEnd();
  EXPECT_EQ(last.phase(), v1::Progress::PHASE_FINISHED);
  EXPECT_THAT(ReadFile(cluster.log(0)).value_or(""), Not(HasSubstr("the run goes back from step ")));
  EXPECT_EQ(CheckCheckpoints(), last.step());
  std::printf("%d kills, %d steps decided\n", kKills, static_cast<int>(last.step()));

  ASSERT_GT(last.steps(), 0u);
  const double part = static_cast<double>(last.step()) / static_cast<double>(last.steps());
  std::vector<std::string> calm = constant_rate;
  calm.insert(calm.end(), {absl::StrCat("run.folder=", Path("calm")),
                           absl::StrFormat("schedule.epochs=%.9f", last.epochs() * part)});
  Program undisturbed = Start("arcshard", SmallRun(calm));
  EXPECT_TRUE(undisturbed.AwaitEnd().ok()) << undisturbed.output();
  ExpectSameModel(ModelOf(Path("run")), ModelOf(Path("calm")));
}

TEST_F(KillTest, AfterTheDeathOfEverythingTheRunResumesAndLosesAtMostOneInterval) {
  std::vector<std::string> arguments = SmallRun({"checkpoint.every_steps=1", "checkpoint.keep_last=2"});
  Known before;
  uint64_t most_lost = 0;
  for (int stop = 0; stop < kStops; ++stop) {
    const uint64_t steps = random_() % (kMostSteps + 1);
    const absl::Duration delay = SomeDelay();
    SCOPED_TRACE(absl::StrCat("stop ", stop, " after ", steps, " steps and ", absl::FormatDuration(delay)));
    const uint64_t newest = CheckCheckpoints();
    EXPECT_GE(newest, before.checkpoint);  // a checkpoint that was reported complete exists
    const Known known = LiveAndDie(arguments, steps, delay);
    EXPECT_EQ(known.resumed, newest);
    if (HasFailure()) return;
    most_lost = std::max(most_lost, before.step - std::min(before.step, newest));
    before = known;
    if (CheckCheckpoints() > 0) arguments = {"train", "--resume", Path("run")};
  }
  std::printf("%d stops, %d steps decided, at most %d of them lost at once\n", kStops, static_cast<int>(before.step),
              static_cast<int>(most_lost));

  Program last = Start("arcshard", arguments);
  last.AwaitLine("  step ");
  auto watch = cli::WatchClient::Start(Listing::Of(Path("run")).coordinator);
  ASSERT_TRUE(watch.ok()) << watch.status();
  AwaitSteps(watch->get(), 10);
  last.Signal(SIGINT);
  EXPECT_TRUE(last.AwaitEnd().ok()) << last.output();
  EXPECT_GT(CheckCheckpoints(), before.checkpoint);
}

}  // namespace
}  // namespace arcshard
