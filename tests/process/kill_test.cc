// Kills any process of a run at any moment, again and again, while checkpoints are taken back to back.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/open_checkpoint.h"
#include "gmock/gmock.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

constexpr int kKills = 50;
constexpr uint64_t kMostSteps = 12;                            // from the first report to a kill
constexpr absl::Duration kMostDelay = absl::Milliseconds(60);  // within a step or two

class KillTest : public ProcessTestBase {
 protected:
  // What the coordinator has reported between two kills.
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

  // Starts the run, kills one process `steps` steps and `delay` after the first report, and waits until all have ended.
  Known LiveAndDie(const std::vector<std::string>& arguments, size_t victim, uint64_t steps, absl::Duration delay) {
    Program launcher = Start("arcshard", arguments);
    launcher.AwaitLine("waiting for");  // the coordinator listens
    const Listing listing = Listing::Of(Path("run"));
    auto watch = cli::WatchClient::Start(listing.coordinator);
    EXPECT_TRUE(watch.ok()) << watch.status();
    Known known;
    AwaitSomeSteps(watch->get(), steps, &known);
    if (HasFailure()) return known;
    absl::SleepFor(delay);
    const Listing now = Listing::Of(Path("run"));  // all have been started by now
    const pid_t pid = now.processes.at(victim % now.processes.size()).pid;
    EXPECT_EQ(kill(pid, SIGKILL), 0);
    EXPECT_EQ(launcher.AwaitEnd(), (cli::ProcessExit{.code = 128 + SIGKILL})) << launcher.output();
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
};

TEST_F(KillTest, WhicheverProcessIsKilledTheRunResumesAndLosesAtMostOneInterval) {
  std::mt19937 random(2026);
  std::vector<std::string> arguments = SmallRun({"checkpoint.every_steps=1", "checkpoint.keep_last=2"});
  Known before;
  uint64_t most_lost = 0;
  for (int kill = 0; kill < kKills; ++kill) {
    const size_t victim = random() % 5;
    const uint64_t steps = random() % (kMostSteps + 1);
    const absl::Duration delay = kMostDelay * (static_cast<double>(random() % 1000) / 1000);
    SCOPED_TRACE(absl::StrCat("kill ", kill, " of process ", victim, " after ", steps, " steps and ",
                              absl::FormatDuration(delay)));
    const uint64_t newest = CheckCheckpoints();
    EXPECT_GE(newest, before.checkpoint);  // a checkpoint that was reported complete exists
    const Known known = LiveAndDie(arguments, victim, steps, delay);
    EXPECT_EQ(known.resumed, newest);
    if (HasFailure()) return;
    most_lost = std::max(most_lost, before.step - std::min(before.step, newest));
    before = known;
    if (CheckCheckpoints() > 0) arguments = {"train", "--resume", Path("run")};
  }
  RecordProperty("most_steps_lost", static_cast<int>(most_lost));
  std::printf("%d kills, %d steps decided, at most %d of them lost at once\n", kKills, static_cast<int>(before.step),
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
