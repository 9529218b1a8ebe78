// Two hundred faults in one run, one after the other, at any moment: the run ends in order and has lost no step, and
// processes that have lived through many views use no more of the machine than after the first of them.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/process/testing/cluster.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr size_t kCoordinator = 0, kShard0 = 1, kShard1 = 2, kWorker0 = 3, kWorker1 = 4;  // processes of the cluster

// At first these are stopped and never killed, so that they live through many views.
const std::vector<size_t> kSurvivors = {kCoordinator, kShard0, kWorker0};
const std::vector<size_t> kMortals = {kShard1, kWorker1};
constexpr int kFaultsWithSurvivors = 140, kFaultsOfAll = 60;
constexpr uint64_t kLeastViews = 100;  // that survivors live through

constexpr int kStopsInTen = 4;                 // of ten faults; the others kill
constexpr int kLeastStop = 1, kMostStop = 30;  // seconds
constexpr uint64_t kMostSteps = 8;             // before a fault
constexpr absl::Duration kMostDelay = absl::Milliseconds(60);

// What a process has of the machine.
struct Use {
  int64_t descriptors = 0;
  int64_t threads = 0;
  int64_t kilobytes = 0;  // resident

  static Use Of(pid_t pid) {
    Use use;
    const std::string process = absl::StrCat("/proc/", pid);
    const std::filesystem::directory_iterator descriptors(process + "/fd");
    use.descriptors = std::distance(begin(descriptors), end(descriptors));
    std::FILE* const status = std::fopen((process + "/status").c_str(), "re");
    EXPECT_NE(status, nullptr) << process;
    if (status == nullptr) return use;
    for (char line[256]; std::fgets(line, sizeof(line), status) != nullptr;) {
      std::sscanf(line, "Threads: %ld", &use.threads);
      std::sscanf(line, "VmRSS: %ld", &use.kilobytes);
    }
    std::fclose(status);
    return use;
  }
  void TakeLarger(const Use& other) {
    descriptors = std::max(descriptors, other.descriptors);
    threads = std::max(threads, other.threads);
    kilobytes = std::max(kilobytes, other.kilobytes);
  }
};

class ChaosTest : public ProcessTestBase {
 protected:
  ChaosTest() {
    SmallRun();
    // It comes to no end by itself. A worker that is stopped for long is left out, and let in again.
    cluster_ = std::make_unique<Cluster>(
        Cluster::Options{.config = Path("run.yaml"),
                         .overrides = {"run.record=true", "run.deterministic=true", "checkpoint.every_steps=100",
                                       "checkpoint.keep_last=2", "cluster.heartbeat_interval=500ms",
                                       "cluster.heartbeat_timeout=4s", "cluster.rejoin_grace=4s"},
                         .logs = folder()});
    cluster_->AwaitSteps(1);
  }

  size_t OneOf(const std::vector<size_t>& processes) { return processes[random_() % processes.size()]; }

  // The lines of the coordinator that say of each view who its members are.
  std::vector<std::string> Views() const {
    return absl::StrSplit(ReadFile(cluster_->log(kCoordinator)).value_or(""), '\n',
                          [](absl::string_view line) { return absl::StrContains(line, " samples over "); });
  }

  // Waits until the run goes on with all its members.
  void AwaitAll() {
    uint64_t since = std::numeric_limits<uint64_t>::max();
    cluster_->AwaitSteps(1);
    cluster_->AwaitReport([&](const v1::Progress& report) {
      if (report.phase() != v1::Progress::PHASE_TRAINING || !absl::StrContains(Views().back(), " over 2 workers")) {
        since = std::numeric_limits<uint64_t>::max();
        return false;
      }
      since = std::min<uint64_t>(since, report.step());
      return report.step() > since;
    });
  }

  void StopFor(size_t process, int seconds) {
    cluster_->Signal(process, SIGSTOP);
    absl::SleepFor(absl::Seconds(seconds));
    cluster_->Signal(process, SIGCONT);
  }

  // One fault of a process; of `mortals` if it kills.
  void Fault(int number, const std::vector<size_t>& all, const std::vector<size_t>& mortals) {
    const bool stops = static_cast<int>(random_() % 10) < kStopsInTen;
    const size_t victim = OneOf(stops ? all : mortals);
    const int seconds = kLeastStop + static_cast<int>(random_() % (kMostStop - kLeastStop + 1));
    const uint64_t steps = 1 + random_() % kMostSteps;
    const absl::Duration delay = kMostDelay * (static_cast<double>(random_() % 1000) / 1000);
    const std::string fault = absl::StrCat("fault ", number, ": ", cluster_->name(victim),
                                           stops ? absl::StrCat(" stops for ", seconds, "s") : " is killed");
    SCOPED_TRACE(fault);
    cluster_->AwaitSteps(steps);
    absl::SleepFor(delay);
    stops ? StopFor(victim, seconds) : cluster_->Kill(victim);
    AwaitAll();
  }

  void Sample() {
    for (size_t i = 0; i < kSurvivors.size(); ++i) samples_[i].push_back(Use::Of(cluster_->pid(kSurvivors[i])));
  }

  // Expects that survivors use no more in the last third of the samples than in the one before.
  void ExpectLevel() const {
    for (size_t i = 0; i < kSurvivors.size(); ++i) {
      const std::vector<Use>& samples = samples_[i];
      Use middle, end;
      for (size_t at = samples.size() / 3; at < samples.size(); ++at) {
        (at < samples.size() * 2 / 3 ? middle : end).TakeLarger(samples[at]);
      }
      const std::string& name = cluster_->name(kSurvivors[i]);
      std::printf("%s: at most %ld descriptors, then %ld; %ld threads, then %ld; %ld MiB, then %ld\n", name.c_str(),
                  middle.descriptors, end.descriptors, middle.threads, end.threads, middle.kilobytes / 1024,
                  end.kilobytes / 1024);
      EXPECT_LE(end.descriptors, middle.descriptors + 10) << name;
      EXPECT_LE(end.threads, middle.threads + 5) << name;
      EXPECT_LE(end.kilobytes, middle.kilobytes + middle.kilobytes / 10 + 8 * 1024) << name;
    }
  }

  std::mt19937 random_{PrintedSeed()};
  std::unique_ptr<Cluster> cluster_;
  std::vector<Use> samples_[3];  // of each survivor
};

TEST_F(ChaosTest, TwoHundredFaultsCostNoStepAndLeaveNothingBehind) {
  const std::vector<size_t> all = {kCoordinator, kShard0, kShard1, kWorker0, kWorker1};
  const size_t views_before = Views().size();
  for (int fault = 0; fault < kFaultsWithSurvivors && !HasFailure(); ++fault) {
    Fault(fault, all, kMortals);
    Sample();
  }
  ASSERT_FALSE(HasFailure()) << ReadFile(cluster_->log(kCoordinator)).value_or("");
  EXPECT_GE(Views().size() - views_before, kLeastViews);
  ExpectLevel();
  for (int fault = 0; fault < kFaultsOfAll && !HasFailure(); ++fault) Fault(kFaultsWithSurvivors + fault, all, all);
  cluster_->Signal(kCoordinator, SIGTERM);
  const v1::Progress last = cluster_->AwaitEnd();
  EXPECT_EQ(last.phase(), v1::Progress::PHASE_FINISHED);
  EXPECT_THAT(ReadFile(cluster_->log(kCoordinator)).value_or(""), Not(HasSubstr("the run goes back from step ")));
  Program check = Start("arcshard", {"check", Path("run")});
  EXPECT_TRUE(check.AwaitEnd().ok()) << check.output();
  std::printf("%d faults, %zu views, %d steps\n", kFaultsWithSurvivors + kFaultsOfAll, Views().size(),
              static_cast<int>(last.step()));
}

}  // namespace
}  // namespace arcshard
