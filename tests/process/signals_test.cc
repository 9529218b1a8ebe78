// How the processes of a run end when signals tell them to: all at once, one of them, before the run, and when the
// launcher's terminal or reader goes away.
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "test_paths.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr cli::ProcessExit kTerminated = {.code = 128 + SIGTERM};
constexpr cli::ProcessExit kFailed = {.code = 1};

class SignalsTest : public ProcessTestBase {
 protected:
  // Starts two shards and two workers of a coordinator, by hand, and returns once their steps advance.
  void StartCluster() {
    SmallRun();
    coordinator_ = std::make_unique<Program>(Start("arcshard-coordinator", {"--config", Path("run.yaml")}));
    const std::string line = coordinator_->AwaitLine("listening on ");
    const size_t begin = line.find("127.0.0.1:");
    address_ = line.substr(begin, line.find(',', begin) - begin);
    for (int i = 0; i < 2; ++i) {
      shards_.push_back(std::make_unique<Program>(Start("arcshard-shard", {"--coordinator", address_})));
      workers_.push_back(std::make_unique<Program>(Start("arcshard-worker", {"--coordinator", address_})));
    }
    auto watch = cli::WatchClient::Start(address_);
    ASSERT_TRUE(watch.ok()) << watch.status();
    AwaitSteps(watch->get(), 3);
  }

  std::vector<Program*> Members() const {
    return {shards_[0].get(), shards_[1].get(), workers_[0].get(), workers_[1].get()};
  }

  void ExpectCheckpointAndModel() const {
    EXPECT_EQ(CheckpointSteps(Path("run")).size(), 1u);
    EXPECT_TRUE(std::filesystem::exists(Path("run/model/backbone.safetensors")));
  }

  // The whole cluster is told to end, in the order that `tell` decides.
  void AllEndInOrder(const std::function<void()>& tell) {
    StartCluster();
    tell();
    EXPECT_TRUE(coordinator_->AwaitEnd().ok()) << coordinator_->output();
    for (Program* member : Members()) EXPECT_TRUE(member->AwaitEnd().ok()) << member->output();
    ExpectCheckpointAndModel();
  }

  // One member alone is told to end.
  void OneEndsTheRunInOrder(const std::function<Program*()>& choose, const std::string& name) {
    StartCluster();
    Program* const told = choose();
    told->Signal(SIGTERM);
    EXPECT_EQ(told->AwaitEnd(), kTerminated) << told->output();
    EXPECT_THAT(told->output(), HasSubstr("SIGTERM has told this process to end"));
    EXPECT_EQ(coordinator_->AwaitEnd(), kFailed);
    EXPECT_THAT(
        coordinator_->output(),
        ContainsRegex(absl::StrCat("error: ", name, " [01] \\(pid ", told->pid(),
                                   " on .*\\) was told to end by SIGTERM, so the run was stopped in order after "
                                   "step [0-9]+; it can be resumed\n")));
    for (Program* member : Members()) {
      if (member == told) continue;
      EXPECT_EQ(member->AwaitEnd(), kFailed) << member->output();
    }
    ExpectCheckpointAndModel();
  }

  // Runs a script of bash, in which $0 is arcshard and $@ the arguments of a training, and returns how it has ended.
  cli::ProcessExit RunScript(const std::string& script) {
    std::vector<std::string> arguments = {"-c", script, ARCSHARD_BIN_DIR "/arcshard"};
    const std::vector<std::string> train = SmallRun();
    arguments.insert(arguments.end(), train.begin(), train.end());
    auto process = cli::Process::Start(
        {.program = "/bin/bash", .arguments = arguments, .environment = {"OMP_NUM_THREADS=1"}, .log = Path("log")});
    EXPECT_TRUE(process.ok()) << process.status();
    AwaitDeath((*process)->pid());
    return (*process)->Poll().value_or(cli::ProcessExit{.code = -1});
  }

  std::string address_;
  std::unique_ptr<Program> coordinator_;
  std::vector<std::unique_ptr<Program>> shards_, workers_;
};

TEST_F(SignalsTest, ToldAtOnceMembersFirstAllEndInOrder) {
  AllEndInOrder([this] {
    for (Program* member : Members()) member->Signal(SIGTERM);
    coordinator_->Signal(SIGTERM);
  });
}

TEST_F(SignalsTest, InterruptedAtOnceTheCoordinatorFirstAllEndInOrder) {
  AllEndInOrder([this] {
    coordinator_->Signal(SIGINT);
    for (Program* member : Members()) member->Signal(SIGINT);
  });
}

TEST_F(SignalsTest, AShardThatIsToldToEndStopsTheRunInOrder) {
  OneEndsTheRunInOrder([this] { return shards_[1].get(); }, "shard");
}

TEST_F(SignalsTest, AWorkerThatIsToldToEndStopsTheRunInOrder) {
  OneEndsTheRunInOrder([this] { return workers_[0].get(); }, "worker");
}

TEST_F(SignalsTest, WithoutARunTheyEndAtOnce) {
  const LocalPort nobody;
  for (const char* program : {"arcshard-shard", "arcshard-worker"}) {
    Program waiting = Start(program, {"--coordinator", nobody.address()});
    waiting.AwaitLine("waiting for the coordinator");
    waiting.Signal(SIGTERM);
    EXPECT_EQ(waiting.AwaitEnd(), kTerminated) << waiting.output();
    EXPECT_THAT(waiting.output(), HasSubstr("error: stopped by SIGTERM; there was no run yet to end in order\n"));
  }
}

TEST_F(SignalsTest, BeforeTheRunAMemberLeavesAndTheOthersGoOnWaiting) {
  SmallRun();
  Program coordinator = Start("arcshard-coordinator", {"--config", Path("run.yaml")});
  const std::string line = coordinator.AwaitLine("listening on ");
  const size_t begin = line.find("127.0.0.1:");
  Program worker = Start("arcshard-worker", {"--coordinator", line.substr(begin, line.find(',', begin) - begin)});
  coordinator.AwaitLine("worker 0 ");
  worker.Signal(SIGTERM);
  EXPECT_EQ(worker.AwaitEnd(), kTerminated) << worker.output();
  coordinator.AwaitLine("was told to end by SIGTERM");
  coordinator.Signal(SIGTERM);
  EXPECT_TRUE(coordinator.AwaitEnd().ok()) << coordinator.output();
}

TEST_F(SignalsTest, AServiceManagerThatTellsTheLauncherAndAllItsProcessesEndsThemInOrder) {
  Program run = Start("arcshard", SmallRun());
  run.AwaitLine("  step ");
  const Listing listing = Listing::Of(Path("run"));
  for (const Listing::Entry& process : listing.processes) kill(process.pid, SIGTERM);
  run.Signal(SIGTERM);
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_THAT(run.output(), HasSubstr("stopped in order: trained "));
  ExpectCheckpointAndModel();
}

TEST_F(SignalsTest, AProcessOfTheLauncherThatIsToldToEndIsNamedAndTheRunCanBeResumed) {
  Program run = Start("arcshard", SmallRun());
  run.AwaitLine("  step ");
  kill(Listing::Of(Path("run")).Find("worker", 1).pid, SIGTERM);
  EXPECT_EQ(run.AwaitEnd(), kTerminated) << run.output();
  EXPECT_THAT(run.output(), AllOf(HasSubstr("arcshard: error: arcshard-worker 1 failed: worker "),
                                  HasSubstr("was told to end by SIGTERM"), HasSubstr("to resume: arcshard train ")));
  ExpectCheckpointAndModel();
}

TEST_F(SignalsTest, ATerminalThatGoesAwayStopsTheLauncherInOrder) {
  Program run = Start("arcshard", SmallRun());
  run.AwaitLine("  step ");
  run.Signal(SIGHUP);
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  ExpectCheckpointAndModel();
}

TEST_F(SignalsTest, AReaderThatGoesAwayStopsTheLauncherInOrder) {
  EXPECT_TRUE(RunScript("\"$0\" \"$@\" | head -n 1; exit ${PIPESTATUS[0]}").ok()) << ReadFile(Path("log")).value_or("");
  EXPECT_TRUE(std::filesystem::exists(Path("run/config.yaml")));
}

TEST_F(SignalsTest, NohupProtectsTheLauncher) {
  const cli::ProcessExit exit =
      RunScript("trap '' HUP; \"$0\" \"$@\" --set schedule.epochs=0.01 & kill -HUP $!; wait $!");
  EXPECT_TRUE(exit.ok()) << ReadFile(Path("log")).value_or("");
  EXPECT_THAT(ReadFile(Path("log")).value_or(""), HasSubstr("\ntrained 12 of 12 steps"));
}

TEST_F(SignalsTest, TheFirstProcessOfAContainerEndsWhenToldTo) {
  const LocalPort nobody;
  for (const char* name : {"arcshard-shard", "arcshard-worker", "arcshard"}) {
    const std::string program = absl::StrCat(ARCSHARD_BIN_DIR "/", name);
    std::vector<std::string> arguments = {program, "status", "--timeout", "3600", "--coordinator", nobody.address()};
    if (program != ARCSHARD_BIN_DIR "/arcshard") arguments.erase(arguments.begin() + 1, arguments.begin() + 4);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const long pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    if (pid == 0) {
      execv(program.c_str(), argv.data());
      _exit(127);
    }
    if (pid < 0) GTEST_SKIP() << "only root may make a container";
    int status = 0;
    while (waitpid(static_cast<pid_t>(pid), &status, WNOHANG) == 0) {  // until it is there to be told
      kill(static_cast<pid_t>(pid), SIGTERM);
      std::this_thread::yield();
    }
    EXPECT_EQ(cli::FromWaitStatus(status), kTerminated) << name;
  }
}

TEST_F(SignalsTest, AWorkingDirectoryThatWasDeletedIsNamed) {
  for (const char* program : {"arcshard", "arcshard-coordinator", "arcshard-shard", "arcshard-worker"}) {
    const std::string gone = Path("gone");
    std::filesystem::create_directory(gone);
    std::filesystem::remove(Path("log"));  // a log is appended to
    EXPECT_EQ(RunScript(absl::StrCat("cd ", gone, " && rmdir ", gone, " && exec " ARCSHARD_BIN_DIR "/", program)),
              kFailed);
    EXPECT_EQ(ReadFile(Path("log")).value_or(""),
              "arcshard: error: the working directory was deleted; change to a folder that exists, and start again\n")
        << program;
  }
}

}  // namespace
}  // namespace arcshard
