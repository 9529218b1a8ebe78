#include "tests/process/testing/short_run.h"

#include <algorithm>
#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace arcshard {
namespace {

using Victims = std::vector<std::pair<std::string, uint32_t>>;

}  // namespace

std::vector<std::string> ShortRunTest::ShortRun(const std::vector<std::string>& overrides) const {
  // A lost worker is always waited for, so every step has the same members.
  std::vector<std::string> all = {"run.deterministic=true", "schedule.epochs=0.25", "cluster.rejoin_grace=10m",
                                  absl::StrCat("checkpoint.every_steps=", kCheckpointEvery)};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return SmallRun(all);
}

Training ShortRunTest::StartTraining(uint64_t steps, const std::vector<std::string>& overrides) const {
  Program launcher = Start("arcshard", ShortRun(overrides));
  launcher.AwaitLine("  step ");
  Listing listing = Listing::Of(Path("run"));
  auto watch = cli::WatchClient::Start(listing.coordinator);
  EXPECT_TRUE(watch.ok()) << watch.status();
  AwaitReport(watch->get(), [steps](const v1::Progress& report) {
    return report.step() >= steps && report.checkpoint_step() > 0 && report.step() > report.checkpoint_step();
  });
  return {std::move(launcher), std::move(listing), *std::move(watch)};
}

std::map<std::string, std::string> ShortRunTest::Undisturbed(const std::vector<std::string>& overrides) const {
  std::vector<std::string> all = overrides;
  all.push_back(absl::StrCat("run.folder=", Path("undisturbed")));
  Program run = Start("arcshard", ShortRun(all));
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  return ModelOf(Path("undisturbed"));
}

void ShortRunTest::Kill(const Training& run, const Victims& victims) {
  for (const auto& [role, index] : victims) EXPECT_EQ(kill(run.listing.Find(role, index).pid, SIGKILL), 0);
}

void ShortRunTest::ExpectOthersLive(const Training& run, const Victims& victims) const {
  const Listing now = Listing::Of(Path("run"));
  for (const Listing::Entry& before : run.listing.processes) {
    const bool victim = std::count(victims.begin(), victims.end(), std::pair(before.role, before.index)) > 0;
    EXPECT_EQ(now.Find(before.role, before.index).pid != before.pid, victim) << before.role << " " << before.index;
  }
}

std::vector<std::string> ShortRunTest::LinesWith(const std::string& text) const {
  return absl::StrSplit(Log(), '\n', [&text](absl::string_view line) { return absl::StrContains(line, text); });
}

}  // namespace arcshard
