// Links between the processes of a run are cut, each process on a host of its own: all of them live, and the run goes
// on within half a minute.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/io/file_system.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/partition/testing/network.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kTimeToResolve = absl::Seconds(30);
// With the default times it takes 26 s, and more on a busy machine.
constexpr absl::Duration kTimeByDefault = absl::Seconds(45);

// Small enough that nobody waits for long, large enough for a machine that does other things beside.
const std::vector<std::string> kImpatient = {"cluster.heartbeat_interval=200ms", "cluster.heartbeat_timeout=3s",
                                             "cluster.rejoin_grace=3s"};
// The keys' own values, which SmallRun replaces.
const std::vector<std::string> kDefaults = {"cluster.connect_timeout=60s", "cluster.heartbeat_timeout=8s"};

class PartitionTest : public ProcessTestBase, public ::testing::WithParamInterface<Network::Cut> {
 protected:
  using Host = Network::Host;

  // A process of the run, and its host.
  struct Hosted {
    Host host;
    Program program;
  };

  void SetUp() override {
    if (const std::string why = Network::WhyNone(); !why.empty()) GTEST_SKIP() << why;
    network_ = std::make_unique<Network>();
  }

  // Starts a run with two shards, two workers and `spares`, and waits until it trains.
  void Begin(const std::vector<std::string>& overrides, int spares = 0) {
    SmallRun();
    overrides_ = overrides;
    coordinator_.emplace(StartFirstCoordinator(network_->Add()));
    for (int i = 0; i < 2; ++i) shards_.push_back(StartMember("arcshard-shard", {}));
    for (int i = 0; i < 2; ++i) workers_.push_back(StartMember("arcshard-worker", {}));
    AwaitTraining(Watch());
    for (int i = 0; i < spares; ++i) {
      spares_.push_back(StartMember("arcshard-shard", {"--spare"}));
      coordinator_->program.AwaitLine("waits as a spare");
    }
    NumberMembers();
  }

  virtual Hosted StartFirstCoordinator(Host host) { return StartCoordinator(host); }
  Hosted StartCoordinator(Host host) {
    std::vector<std::string> arguments = {"--config", Path("run.yaml"), "--listen",  CoordinatorAddress(),
                                          "--resume", "auto",           "--insecure"};
    for (const std::string& override : overrides_) arguments.insert(arguments.end(), {"--set", override});
    Hosted started{host, network_->On(host, [&] { return Start("arcshard-coordinator", arguments); })};
    started.program.AwaitLine("listening on ");
    return started;
  }
  std::string CoordinatorAddress() const { return absl::StrCat(network_->AddressOf(1), ":7000"); }

  Hosted StartMember(const std::string& program, const std::vector<std::string>& more) {
    const Host host = network_->Add();
    std::vector<std::string> arguments = {"--coordinator", CoordinatorAddress(), "--insecure"};
    if (program == "arcshard-shard") {
      arguments.insert(arguments.end(), {"--listen", absl::StrCat(network_->AddressOf(host), ":0")});
    } else {
      arguments.insert(arguments.end(), {"--all-reduce-interface", "auto"});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return {host, network_->On(host, [&] { return Start(program, arguments); })};
  }

  // Members are numbered in the order in which they have registered, which is not that of their start.
  void NumberMembers() {
    const nlohmann::json view = LastLine("view");
    const auto order = [&](const std::string& role, std::vector<Hosted>* members) {
      std::map<pid_t, uint32_t> ids;
      for (const nlohmann::json& member : view["members"]) {
        if (member["role"] == role) ids[member["pid"]] = member["id"];
      }
      std::sort(members->begin(), members->end(), [&](const Hosted& one, const Hosted& other) {
        return ids.at(one.program.pid()) < ids.at(other.program.pid());
      });
    };
    order("shard", &shards_);
    order("worker", &workers_);
  }

  // The last line of this kind in the run's metrics.jsonl.
  nlohmann::json LastLine(const std::string& kind) const {
    nlohmann::json last;
    std::ifstream file(Path("run/metrics.jsonl"));
    for (std::string line; std::getline(file, line);) {
      nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (!json.is_discarded() && json["kind"] == kind) last = std::move(json);
    }
    return last;
  }

  // Follows the coordinator that listens now.
  cli::WatchClient* Watch() {
    auto watch = cli::WatchClient::Start(CoordinatorAddress());
    EXPECT_TRUE(watch.ok()) << watch.status();
    watch_ = *std::move(watch);
    return watch_.get();
  }
  static void AwaitTraining(cli::WatchClient* watch) {
    AwaitReport(watch, [](const v1::Progress& report) { return report.step() >= 3; });
  }

  // Waits for the first step that is decided after a recovery, and expects that nothing was lost. Returns the sentence
  // about the recovery. `since`: the cut.
  std::string ExpectResolved(MonotonicTime since, absl::Duration within = kTimeToResolve) {
    const v1::Progress recovered =
        AwaitReport(watch_.get(), [](const v1::Progress& report) { return report.recoveries() > 0; });
    const v1::Progress next =
        AwaitReport(watch_.get(), [&](const v1::Progress& report) { return report.step() > recovered.step(); });
    const absl::Duration took = clock_.Now() - since;
    EXPECT_LE(took, within);
    EXPECT_EQ(next.lost_steps(), 0u) << next.last_recovery();
    EXPECT_EQ(next.recoveries(), 1u) << next.last_recovery();
    std::printf("next decision %.1f s after the cut: %s\n", absl::ToDoubleSeconds(took), next.last_recovery().c_str());
    RecordProperty("seconds", absl::StrCat(absl::ToDoubleSeconds(took)));
    return next.last_recovery();
  }

  // Stops the run in order; each of `members` ends in order with it.
  void Stop(const std::vector<Hosted*>& members) {
    AwaitSteps(watch_.get(), 20);
    coordinator_->program.Signal(SIGTERM);
    EXPECT_TRUE(coordinator_->program.AwaitEnd().ok()) << coordinator_->program.output();
    for (Hosted* const member : members) {
      EXPECT_TRUE(member->program.AwaitEnd().ok()) << member->program.output();
    }
    EXPECT_EQ(LastLine("end")["outcome"], "stopped");
    EXPECT_FALSE(CheckpointSteps(Path("run")).empty());
  }
  // Ends a process that has no part in the run any more.
  static void Dismiss(Hosted* member) {
    member->program.Signal(SIGKILL);
    member->program.AwaitEnd();
  }

  const SystemClock clock_;
  std::unique_ptr<Network> network_;
  std::vector<std::string> overrides_;
  std::optional<Hosted> coordinator_;
  std::vector<Hosted> shards_, workers_, spares_;
  std::unique_ptr<cli::WatchClient> watch_;
};

TEST_P(PartitionTest, AWorkerThatCannotReachAShardIsLeftOut) {
  Begin(kImpatient);
  const MonotonicTime cut = clock_.Now();
  network_->CutBetween(workers_[0].host, shards_[1].host, GetParam());
  EXPECT_THAT(ExpectResolved(cut), HasSubstr("worker 0"));
  Stop({&shards_[0], &shards_[1], &workers_[1]});
  Dismiss(&workers_[0]);
}

TEST_P(PartitionTest, OfTwoWorkersThatCannotReachEachOtherOneIsLeftOut) {
  Begin(kImpatient);
  const MonotonicTime cut = clock_.Now();
  network_->CutBetween(workers_[0].host, workers_[1].host, GetParam());
  EXPECT_THAT(ExpectResolved(cut), HasSubstr("worker 1"));
  Stop({&shards_[0], &shards_[1], &workers_[0]});
  Dismiss(&workers_[1]);
}

// Nothing takes longer than this.
TEST_P(PartitionTest, TheDefaultTimesResolveItToo) {
  Begin(kDefaults);
  const MonotonicTime cut = clock_.Now();
  network_->CutBetween(workers_[0].host, workers_[1].host, GetParam());
  EXPECT_THAT(ExpectResolved(cut, kTimeByDefault), HasSubstr("worker 1"));
  Stop({&shards_[0], &shards_[1], &workers_[0]});
  Dismiss(&workers_[1]);
}

TEST_P(PartitionTest, AShardThatCannotReachTheCoordinatorIsReplacedByASpareAndComesTooLate) {
  Begin(kImpatient, /*spares=*/1);
  const MonotonicTime cut = clock_.Now();
  network_->CutBetween(shards_[1].host, coordinator_->host, GetParam());
  EXPECT_THAT(ExpectResolved(cut), HasSubstr("shard 1"));
  network_->Heal();
  EXPECT_FALSE(shards_[1].program.AwaitEnd().ok());
  EXPECT_THAT(shards_[1].program.output(), HasSubstr("the run has all its 2 shards"));
  Stop({&shards_[0], &spares_[0], &workers_[0], &workers_[1]});
}

// An old coordinator is cut off, and a new one is started on a computer with the same address. Both have the folder of
// the run, on a file system whose locks do not reach from one host to another.
class IsolatedCoordinatorTest : public PartitionTest {
 protected:
  Hosted StartFirstCoordinator(Host host) override {
    std::filesystem::create_directories(Path("run"));
    Write("run/lock", "");
    Write("lock of the first host", "");
    const FileDescriptor home(open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(unshare(CLONE_NEWNS), 0);
    EXPECT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    EXPECT_EQ(mount(Path("lock of the first host").c_str(), Path("run/lock").c_str(), nullptr, MS_BIND, nullptr), 0);
    Hosted started = StartCoordinator(host);
    EXPECT_EQ(setns(home.get(), CLONE_NEWNS), 0);
    return started;
  }

  // Cuts the coordinator off and starts a new one, which is coordinator_ from then on. Returns the old one.
  Hosted ReplaceCoordinator() {
    const Host host = network_->Replace(coordinator_->host);
    Hosted old = *std::move(coordinator_);
    coordinator_.emplace(StartCoordinator(host));
    Watch();
    return old;
  }

  static void ExpectFencedOff(Hosted* old) {
    EXPECT_EQ(old->program.AwaitEnd(), cli::ProcessExit{.code = 1}) << old->program.output();
    EXPECT_THAT(old->program.output(), HasSubstr("another coordinator, incarnation 2, has taken run.folder"));
  }

  // The lines of metrics.jsonl that the old one wrote after the new one's first.
  std::vector<std::string> LateLines() const {
    std::vector<std::string> late;
    std::vector<double> begins;  // of the coordinators
    std::ifstream file(Path("run/metrics.jsonl"));
    for (std::string line; std::getline(file, line);) {
      const nlohmann::json json = nlohmann::json::parse(line);
      const double began = json["time"].get<double>() - json["elapsed_seconds"].get<double>();
      if (json["kind"] == "run") begins.push_back(began);
      if (begins.size() > 1 && began < (begins[0] + begins[1]) / 2) late.push_back(line);
    }
    EXPECT_EQ(begins.size(), 2u);
    return late;
  }

  // The complete checkpoints of the first coordinator.
  std::vector<CheckpointId> OldCheckpoints() const {
    auto complete = ListCheckpoints(RealFileSystem(), Path("run"));
    EXPECT_TRUE(complete.ok()) << complete.status();
    std::erase_if(*complete, [](const CheckpointId& id) { return id.incarnation != 1; });
    return *complete;
  }

  // Every file of the run with its time and contents.
  std::map<std::string, std::pair<std::filesystem::file_time_type, std::string>> Files() const {
    std::map<std::string, std::pair<std::filesystem::file_time_type, std::string>> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(Path("run"))) {
      const std::string path = entry.path().string();
      files[path] = {entry.last_write_time(), entry.is_directory() ? "" : ReadFile(path).value_or("unreadable")};
    }
    return files;
  }
};

TEST_P(IsolatedCoordinatorTest, TheRunGoesOnUnderTheNewOneAndTheOldOneWritesNothing) {
  std::vector<std::string> overrides = kImpatient;
  overrides.insert(overrides.end(), {"checkpoint.every_steps=10", "checkpoint.keep_last=1000"});
  Begin(overrides);
  const MonotonicTime cut = clock_.Now();
  network_->Isolate(coordinator_->host, GetParam());
  coordinator_->program.AwaitLine(" was lost ");
  Hosted old = ReplaceCoordinator();
  const std::vector<CheckpointId> before = OldCheckpoints();
  EXPECT_THAT(ExpectResolved(cut), HasSubstr("coordinator"));
  ExpectFencedOff(&old);
  EXPECT_EQ(OldCheckpoints(), before);
  Stop({&shards_[0], &shards_[1], &workers_[0], &workers_[1]});
  EXPECT_THAT(LateLines(), ::testing::IsEmpty());
}

TEST_P(IsolatedCoordinatorTest, AnOldOneThatContinuesAfterTheEndOfTheRunChangesNoFile) {
  std::vector<std::string> overrides = kImpatient;
  overrides.insert(overrides.end(), {"checkpoint.every_steps=10"});
  Begin(overrides);
  const MonotonicTime cut = clock_.Now();
  network_->Isolate(coordinator_->host, GetParam());
  coordinator_->program.Signal(SIGSTOP);
  Hosted old = ReplaceCoordinator();
  EXPECT_THAT(ExpectResolved(cut), HasSubstr("coordinator"));
  Stop({&shards_[0], &shards_[1], &workers_[0], &workers_[1]});
  const auto files = Files();
  old.program.Signal(SIGCONT);
  ExpectFencedOff(&old);
  EXPECT_EQ(Files(), files);
}

std::string NameOf(const ::testing::TestParamInfo<Network::Cut>& info) {
  return info.param == Network::Cut::kDropped ? "Dropped" : "Refused";
}
INSTANTIATE_TEST_SUITE_P(Cuts, PartitionTest, ::testing::Values(Network::Cut::kDropped, Network::Cut::kRefused),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Cuts, IsolatedCoordinatorTest,
                         ::testing::Values(Network::Cut::kDropped, Network::Cut::kRefused), NameOf);

}  // namespace
}  // namespace arcshard
