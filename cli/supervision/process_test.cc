#include "cli/supervision/process.h"

#include <csignal>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cli/supervision/testing/script_test.h"
#include "common/base/testing/refused_call.h"
#include "common/program/signal_queue.h"
#include "gmock/gmock.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ProcessTest : public ScriptTest {};

TEST_F(ProcessTest, AProgramThatIsNotThereIsNamed) {
  const auto process = Process::Start(
      {.program = "/nonexistent/arcshard-shard", .arguments = {}, .environment = {}, .log = Path("log")});
  EXPECT_EQ(process.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(process.status().message(), "/nonexistent/arcshard-shard: cannot start: No such file or directory");
}

TEST_F(ProcessTest, ALogThatCannotBeWrittenIsNamed) {
  Process::Options options = Script("exit 0");
  options.log = "/nonexistent/log";
  EXPECT_THAT(std::string(Process::Start(options).status().message()), HasSubstr("/nonexistent/log"));
}

TEST_F(ProcessTest, ItsEndIsToldOnceItHasEnded) {
  Pipe pipe;
  const auto process = Start(Script("echo here >&$FD; exec tail -f /dev/null", pipe.to.get()));
  EXPECT_EQ(pipe.ReadLine(), "here");
  EXPECT_FALSE(process->Poll().has_value());
  process->Signal(SIGTERM);
  AwaitExit(process->pid());
  EXPECT_EQ(process->Poll(), (ProcessExit{.signal = SIGTERM}));
  EXPECT_EQ(process->Poll(), (ProcessExit{.signal = SIGTERM}));
  process->Signal(SIGKILL);  // has no effect

  const auto other = Start(Script("exit 3"));
  AwaitExit(other->pid());
  EXPECT_EQ(other->Poll(), (ProcessExit{.code = 3}));
}

TEST_F(ProcessTest, OutputAndErrorsGoToTheLogAfterThoseOfEarlierLives) {
  AwaitExit(Start(Script("echo from an earlier run"))->pid());
  const auto process = Start(Script("echo out; echo err >&2; read line; echo \"input: $line\""));
  AwaitExit(process->pid());
  EXPECT_THAT(Log(), AllOf(StartsWith("from an earlier run\n"), HasSubstr(" another life "),
                           EndsWith("\nout\nerr\ninput: \n")));
}

TEST_F(ProcessTest, ALogThatIsALinkIsNotWrittenThrough) {
  Process::Options options = Script("echo mine");
  options.log = Path("link.log");
  std::filesystem::create_symlink(Path("elsewhere"), options.log);
  EXPECT_THAT(std::string(Process::Start(options).status().message()),
              HasSubstr(Path("link.log") + ": is a symbolic link"));
  EXPECT_FALSE(std::filesystem::exists(Path("elsewhere")));
}

TEST_F(ProcessTest, ItStartsInItsOwnGroupWithAllSignalsAtTheirDefaults) {
  const auto blocked = SignalQueue::Create({SIGINT, SIGTERM, SIGCHLD});
  ASSERT_TRUE(blocked.ok());
  const auto before = signal(SIGPIPE, SIG_IGN);
  const auto process = Start(Script("exec cat /proc/self/status /proc/self/stat"));
  AwaitExit(process->pid());
  signal(SIGPIPE, before);
  EXPECT_THAT(Log(), AllOf(ContainsRegex("SigBlk:\t0+\n"), ContainsRegex("SigIgn:\t0+\n")));
  EXPECT_THAT(Log(), ContainsRegex(absl::StrCat("\\) R ", getpid(), " ", process->pid(), " ")));  // parent, group
}

TEST_F(ProcessTest, ItInheritsNothingButWhatItIsMeantTo) {
  const int stray = fcntl(STDERR_FILENO, F_DUPFD, 200);  // not close-on-exec
  const FileDescriptor owner(stray);
  const Pipe pipe;
  const FileDescriptor meant(fcntl(pipe.to.get(), F_DUPFD_CLOEXEC, 100));
  const auto process = Start(Script("exec ls /proc/self/fd", meant.get()));
  AwaitExit(process->pid());
  EXPECT_THAT(Log(), AllOf(HasSubstr(absl::StrCat(meant.get(), "\n")), Not(HasSubstr(absl::StrCat(stray, "\n")))));
}

TEST_F(ProcessTest, WhereTheKernelCannotCloseARangeItStartsAndInheritsNoMore) {
  const int stray = fcntl(STDERR_FILENO, F_DUPFD, 200);  // not close-on-exec
  const FileDescriptor owner(stray);
  for (const int error : {ENOSYS, EPERM, EINVAL}) {
    bool refused = false;
    std::thread([&] {
      refused = RefuseCall(SYS_close_range, error);
      const auto process = Start(Script("exec ls /proc/self/fd"));
      AwaitExit(process->pid());
    }).join();
    if (!refused) GTEST_SKIP() << "this machine does not let a process filter its calls";
    EXPECT_THAT(Log(), AllOf(HasSubstr("0\n1\n2\n"), Not(HasSubstr(absl::StrCat(stray, "\n")))));
  }
}

TEST_F(ProcessTest, ItsEnvironmentIsOursWithChanges) {
  setenv("LAUNCHER_TEST_KEPT", "kept", 1);
  setenv("LAUNCHER_TEST_CHANGED", "old", 1);
  Process::Options options = Script("echo $LAUNCHER_TEST_KEPT $LAUNCHER_TEST_CHANGED $LAUNCHER_TEST_NEW");
  options.environment = {"LAUNCHER_TEST_CHANGED=changed", "LAUNCHER_TEST_NEW=new=1"};
  AwaitExit(Start(options)->pid());
  EXPECT_EQ(Log(), "kept changed new=1\n");
}

TEST_F(ProcessTest, DestructionKillsItAndWhatItStarted) {
  Pipe pipe;
  auto process = Start(Script("tail -f /dev/null & echo here >&$FD; wait", pipe.to.get()));
  EXPECT_EQ(pipe.ReadLine(), "here");
  process.reset();
  EXPECT_EQ(pipe.ReadLine(), "");  // end of file: both processes have ended
}

TEST_F(ProcessTest, ItDiesWithTheThreadThatStartedIt) {
  Pipe pipe;
  std::unique_ptr<Process> process;
  std::thread([&] { process = Start(Script("echo here >&$FD; exec tail -f /dev/null", pipe.to.get())); }).join();
  AwaitExit(process->pid());
  EXPECT_EQ(process->Poll(), (ProcessExit{.signal = SIGKILL}));
}

}  // namespace
}  // namespace arcshard::cli
