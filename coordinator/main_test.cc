#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"

// The program itself: its files, output and exit status.
namespace arcshard::coordinator {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class ProgramTest : public ::testing::Test {
 protected:
  ProgramTest() {
    std::filesystem::remove_all(folder_);
    EXPECT_TRUE(CreateFolders(folder_).ok());
    EXPECT_TRUE(
        WriteFileAtomically(folder_ + "/run.yaml", "data:\n  train: data\ncluster:\n  connect_timeout: 60s\n").ok());
  }
  ~ProgramTest() override {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    std::filesystem::remove_all(folder_);
  }

  // Starts it in the run folder <folder>/<run>, with stderr in <folder>/<run>.err.
  pid_t Start(const std::string& run, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {ARCSHARD_BIN_DIR "/arcshard-coordinator",
                                          "--config",
                                          folder_ + "/run.yaml",
                                          "--set",
                                          absl::StrCat("run.folder=", folder_, "/", run),
                                          "--announce-fd",
                                          "3"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, (folder_ + "/" + run + ".out").c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0644);
    posix_spawn_file_actions_addopen(&actions, 2, (folder_ + "/" + run + ".err").c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0644);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 3);
    pid_t child = 0;
    EXPECT_EQ(posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    announced_ = FileDescriptor(ends[0]);
    children_.push_back(child);
    return child;
  }

  // The next line that the process started last announces: "listening host:port", "failed cause pid". Empty: no more.
  std::string Announced() {
    std::string line;
    char byte;
    while (read(announced_.get(), &byte, 1) == 1 && byte != '\n') line += byte;
    return line;
  }
  int Wait(pid_t child) {
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    children_.erase(std::find(children_.begin(), children_.end(), child));
    return status;
  }
  std::string Read(const std::string& name) { return ReadFile(folder_ + "/" + name).value_or(""); }
  std::string Errors(const std::string& run) { return Read(run + ".err"); }

  const std::string folder_ = absl::StrCat(::testing::TempDir(), "coordinator_main_test.",
                                           ::testing::UnitTest::GetInstance()->current_test_info()->name());

 private:
  FileDescriptor announced_;
  std::vector<pid_t> children_;
};

TEST_F(ProgramTest, LeavesTheResolvedConfigurationAndItsIncarnationAndStopsInOrderOnSigterm) {
  for (int start = 1; start <= 2; ++start) {
    const pid_t child = Start("run");
    EXPECT_THAT(Announced(), testing::StartsWith("listening 127.0.0.1:"));
    kill(child, start == 1 ? SIGTERM : SIGINT);
    EXPECT_EQ(Wait(child), 0);
    EXPECT_EQ(Read("run/incarnation"), absl::StrCat(start, "\n"));
    EXPECT_THAT(Read("run/config.yaml"), HasSubstr("connect_timeout: 1m"));
    EXPECT_EQ(Read("run.out"), Read("run/config.yaml"));
    EXPECT_THAT(Errors("run"), HasSubstr(absl::StrCat("incarnation ", start)));
    EXPECT_THAT(Errors("run"), Not(HasSubstr("error: ")));
  }
}

TEST_F(ProgramTest, GivesUpWithOneSentenceThatSaysForWhomItWaited) {
  const pid_t child = Start("run", {"--set", "cluster.connect_timeout=10ms", "--set", "cluster.shards=3"});
  EXPECT_EQ(Wait(child), 1 << 8);
  EXPECT_THAT(Errors("run"),
              EndsWith("arcshard-coordinator: error: gave up after 10ms (cluster.connect_timeout), still "
                       "waiting for 3 of 3 shards and 1 of 1 worker\n"));
}

TEST_F(ProgramTest, RefusesAPortInUse) {
  const pid_t first = Start("first");
  const std::string address(absl::StripPrefix(Announced(), "listening "));
  const pid_t second = Start("second", {"--listen", address});
  EXPECT_EQ(Announced(), "failed other 0");
  EXPECT_EQ(Announced(), "");
  EXPECT_EQ(Wait(second), 1 << 8);
  EXPECT_THAT(Errors("second"), HasSubstr(absl::StrCat("error: cannot listen on ", address)));
  kill(first, SIGTERM);
  EXPECT_EQ(Wait(first), 0);
}

TEST_F(ProgramTest, ComesBackOnTheSameAddressAfterItWasKilled) {
  const pid_t first = Start("run", {"--resume", "auto"});
  const std::string address(absl::StripPrefix(Announced(), "listening "));
  kill(first, SIGKILL);
  EXPECT_EQ(Wait(first), SIGKILL);
  const pid_t second = Start("run", {"--resume", "auto", "--listen", address});
  EXPECT_EQ(Announced(), "listening " + address);
  EXPECT_EQ(Read("run/incarnation"), "2\n");
  kill(second, SIGTERM);
  EXPECT_EQ(Wait(second), 0);
}

TEST_F(ProgramTest, EndsWhereALaterOneHasTakenItsFolder) {
  const pid_t child = Start("run");
  EXPECT_THAT(Announced(), testing::StartsWith("listening "));
  // As another machine does over a file system without locks.
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/run/incarnation", "7\n").ok());
  EXPECT_EQ(Wait(child), 1 << 8);
  EXPECT_THAT(Errors("run"), HasSubstr("another coordinator, incarnation 7, has taken run.folder"));
  EXPECT_EQ(Read("run/incarnation"), "7\n");
}

TEST_F(ProgramTest, RefusesARunFolderThatAnotherOneUses) {
  const pid_t first = Start("run");
  Announced();
  const pid_t second = Start("run", {"--listen", "127.0.0.1:0"});
  EXPECT_EQ(Wait(second), 1 << 8);
  EXPECT_THAT(Errors("run"), HasSubstr("is in use by another coordinator"));
  EXPECT_EQ(Read("run/incarnation"), "1\n");
  kill(first, SIGTERM);
  EXPECT_EQ(Wait(first), 0);
}

TEST_F(ProgramTest, RefusesAKeyThatDoesNotExistAndLeavesNothing) {
  EXPECT_EQ(Wait(Start("run", {"--set", "cluster.shard=2"})), 1 << 8);
  EXPECT_THAT(Errors("run"),
              EndsWith("error: --set cluster.shard=2: unknown key cluster.shard; the nearest valid name is "
                       "cluster.shards\n"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/run"));
}

TEST_F(ProgramTest, RefusesAnUnknownOptionWithOneSentence) {
  EXPECT_EQ(Wait(Start("run", {"--lisen", "127.0.0.1:0"})), 2 << 8);
  EXPECT_THAT(Errors("run"), HasSubstr("arcshard-coordinator: error: "));
  EXPECT_THAT(Errors("run"), HasSubstr("--lisen"));
}

}  // namespace
}  // namespace arcshard::coordinator
