// How the supervisor answers deaths by restarts, and what it makes of them in the end.
#include <csignal>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/supervision/supervisor.h"
#include "cli/supervision/testing/script_test.h"
#include "common/base/testing/fake_clock.h"
#include "gmock/gmock.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// A coordinator that exits with 0 when it is told to end.
constexpr char kStoppable[] = "trap 'kill $!; exit 0' TERM; tail -f /dev/null & echo here >&$FD; wait";

class SupervisorRestartTest : public ScriptTest {
 protected:
  SupervisorRestartTest() {
    supervisor_.RestartBy(
        [this](Role role, uint32_t index, const std::string& why) { return StartAgain(role, index, why); });
  }

  static std::string NameOf(Role role, uint32_t index) { return absl::StrCat(ProgramOf(role), "-", index); }

  void Add(Role role, uint32_t index = 0, const std::string& script = kForever, int inherit_fd = -1) {
    const std::string name = NameOf(role, index);
    scripts_.emplace(name, script);  // which a test may have set to what a later life does
    std::unique_ptr<Process> process = Start(Script(script, inherit_fd, name));
    supervisor_.Add(role, index, std::move(process), Path(name));
  }
  // 0: it does not run.
  pid_t PidOf(Role role, uint32_t index = 0) const {
    for (const RunningProcess& process : supervisor_.running()) {
      if (process.role == role && process.index == index) return static_cast<pid_t>(process.pid);
    }
    return 0;
  }
  // What a process does in its later lives.
  void LaterLives(Role role, uint32_t index, const std::string& script) { scripts_[NameOf(role, index)] = script; }

  void Kill(Role role, uint32_t index = 0, int signal = SIGKILL) {
    const pid_t pid = PidOf(role, index);
    ASSERT_NE(pid, 0);
    kill(pid, signal);
    AwaitEndOf(pid);
  }
  void AwaitEndOf(pid_t pid) {
    AwaitExit(pid);
    supervisor_.Update();
  }
  void AwaitEndOfAll() {
    while (!supervisor_.all_ended()) {
      ASSERT_FALSE(supervisor_.running().empty());
      AwaitEndOf(static_cast<pid_t>(supervisor_.running()[0].pid));
    }
  }

  FakeClock clock_;
  Supervisor supervisor_{Supervisor::Options(), &clock_};
  std::vector<std::string> restarted_;  // names
  absl::Status refusal_;                // of further starts

 private:
  absl::StatusOr<std::unique_ptr<Process>> StartAgain(Role role, uint32_t index, const std::string& why) {
    if (!refusal_.ok()) return refusal_;
    const std::string name = NameOf(role, index);
    restarted_.push_back(name);
    Process::Options options = Script(scripts_.at(name), -1, name);
    options.why = why;
    return Process::Start(options);
  }

  std::map<std::string, std::string> scripts_;  // by name
};

TEST_F(SupervisorRestartTest, AKilledMemberLivesAgainAtOnceAndTheRunDoesNotFail) {
  Add(Role::kCoordinator);
  Add(Role::kShard, 0);
  Add(Role::kShard, 1);
  const pid_t before = PidOf(Role::kShard, 1);
  Kill(Role::kShard, 1);
  EXPECT_THAT(restarted_, ElementsAre("arcshard-shard-1"));
  EXPECT_EQ(supervisor_.restarts(), 1u);
  EXPECT_NE(PidOf(Role::kShard, 1), before);
  EXPECT_FALSE(supervisor_.failing());
  EXPECT_EQ(supervisor_.deadline(), MonotonicTime::InfiniteFuture());
  EXPECT_THAT(
      supervisor_.TakeNews(),
      ElementsAre(absl::StrCat("arcshard-shard 1 (pid ", before,
                               ") was killed by signal 9 (SIGKILL): memory may have run out (the kernel's OOM killer, "
                               "or a container's memory limit); it is started again at once (restart 1 of at most 5 "
                               "within 10m)")));
  EXPECT_THAT(supervisor_.TakeNews(), IsEmpty());
}

TEST_F(SupervisorRestartTest, TheLogSaysBetweenTwoLivesWhyTheLaterOneBegan) {
  Add(Role::kCoordinator);
  Pipe ready;
  Add(Role::kWorker, 0, "echo of the first life; echo here >&$FD; exec tail -f /dev/null", ready.to.get());
  LaterLives(Role::kWorker, 0, "echo of the second life");
  ASSERT_EQ(ready.ReadLine(), "here");
  Kill(Role::kWorker, 0, SIGSEGV);
  AwaitExit(PidOf(Role::kWorker));
  EXPECT_THAT(Log("arcshard-worker-0"),
              AllOf(StartsWith("of the first life\n\n---- "),
                    HasSubstr(" the last one was killed by signal 11 (SIGSEGV); another life of this process begins "
                              "----\nof the second life\n")));
}

TEST_F(SupervisorRestartTest, FurtherRestartsWaitAndTheDeadlineIsTheirTime) {
  Add(Role::kCoordinator);
  Add(Role::kWorker);
  Kill(Role::kWorker);
  Kill(Role::kWorker);
  EXPECT_EQ(PidOf(Role::kWorker), 0);
  EXPECT_FALSE(supervisor_.all_ended());
  EXPECT_EQ(supervisor_.deadline(), clock_.Now() + absl::Seconds(1));
  clock_.Advance(absl::Milliseconds(999));
  supervisor_.Update();
  EXPECT_EQ(PidOf(Role::kWorker), 0);
  clock_.Advance(absl::Milliseconds(1));
  supervisor_.Update();
  EXPECT_NE(PidOf(Role::kWorker), 0);
  EXPECT_EQ(supervisor_.restarts(), 2u);
  EXPECT_EQ(supervisor_.deadline(), MonotonicTime::InfiniteFuture());
}

TEST_F(SupervisorRestartTest, AProcessThatDiesTooOftenEndsTheRunWhichIsStoppedAndSaysSo) {
  Pipe ready;
  Add(Role::kCoordinator, 0, kStoppable, ready.to.get());
  Add(Role::kShard);
  ASSERT_EQ(ready.ReadLine(), "here");
  for (int death = 0; death < 5; ++death) {
    Kill(Role::kShard);
    clock_.Advance(absl::Seconds(8));
    supervisor_.Update();
  }
  EXPECT_FALSE(supervisor_.failing());
  Kill(Role::kShard);
  EXPECT_TRUE(supervisor_.failing());
  AwaitEndOfAll();  // the coordinator was told to end
  EXPECT_EQ(supervisor_.restarts(), 5u);
  EXPECT_EQ(supervisor_.End().status, 128 + SIGKILL);
  EXPECT_THAT(supervisor_.End().sentence,
              AllOf(StartsWith("arcshard-shard 0 was killed by signal 9 (SIGKILL): memory may have run out "),
                    HasSubstr("; it had been started again 5 times within 10m (--max-restarts); its log is /")));
}

TEST_F(SupervisorRestartTest, WithoutRestartsTheFirstDeathEndsTheRun) {
  Supervisor supervisor({.restarts = {.max_restarts = 0}}, &clock_);
  supervisor.RestartBy([](Role, uint32_t, const std::string&) { return absl::InternalError("not to be called"); });
  supervisor.Add(Role::kShard, 0, Start(Script(kForever)), Path("log"));
  const auto pid = static_cast<pid_t>(supervisor.running()[0].pid);
  kill(pid, SIGKILL);
  AwaitExit(pid);
  supervisor.Update();
  EXPECT_TRUE(supervisor.failing());
  EXPECT_TRUE(supervisor.all_ended());
  EXPECT_THAT(supervisor.TakeNews(), IsEmpty());
  EXPECT_EQ(supervisor.End().sentence,
            absl::StrCat("arcshard-shard 0 was killed by signal 9 (SIGKILL): memory may have run out (the kernel's OOM "
                         "killer, or a container's memory limit); its log is ",
                         Path("log")));
}

TEST_F(SupervisorRestartTest, AMemberThatEndsWithAnErrorOfItsOwnEndsTheRun) {
  Add(Role::kCoordinator);
  Add(Role::kWorker, 0, "echo 'x: error: no such data'; exit 1");
  AwaitEndOf(PidOf(Role::kWorker));
  EXPECT_THAT(restarted_, IsEmpty());
  EXPECT_TRUE(supervisor_.failing());
  EXPECT_NE(PidOf(Role::kCoordinator), 0) << "it has five seconds to end the others";
  clock_.Advance(absl::Seconds(5));
  supervisor_.Update();
  AwaitEndOfAll();
  EXPECT_EQ(supervisor_.End().status, 1);
  EXPECT_THAT(supervisor_.End().sentence, StartsWith("arcshard-worker 0 failed: no such data; its log is /"));
}

TEST_F(SupervisorRestartTest, AnErrorInALaterLifeEndsTheRunToo) {
  Add(Role::kCoordinator);
  Add(Role::kWorker);
  LaterLives(Role::kWorker, 0, "echo 'x: error: no GPU'; exit 1");
  Kill(Role::kWorker);
  AwaitEndOf(PidOf(Role::kWorker));
  EXPECT_TRUE(supervisor_.failing());
  supervisor_.StopAtOnce();
  AwaitEndOfAll();
  EXPECT_EQ(supervisor_.End().status, 1);
  EXPECT_THAT(supervisor_.End().sentence, StartsWith("arcshard-worker 0 failed: no GPU; its log is /"));
}

TEST_F(SupervisorRestartTest, ADeathThatWasSurvivedIsNotBlamedForALaterFailure) {
  Add(Role::kCoordinator);
  Add(Role::kShard);
  Kill(Role::kShard);
  Kill(Role::kCoordinator, 0, SIGTERM);  // at the same time, by the clock
  EXPECT_TRUE(supervisor_.failing());
  supervisor_.StopAtOnce();
  AwaitEndOfAll();
  EXPECT_THAT(supervisor_.End().sentence, StartsWith("arcshard-coordinator was killed by signal 15 (SIGTERM)"));
}

TEST_F(SupervisorRestartTest, TheCoordinatorLivesAgainToo) {
  Add(Role::kCoordinator);
  Add(Role::kShard);
  Kill(Role::kCoordinator);
  EXPECT_THAT(restarted_, ElementsAre("arcshard-coordinator-0"));
  EXPECT_NE(PidOf(Role::kCoordinator), 0);
  EXPECT_FALSE(supervisor_.failing());
  EXPECT_EQ(supervisor_.deadline(), MonotonicTime::InfiniteFuture());
}

TEST_F(SupervisorRestartTest, WhoEndsBecauseTheCoordinatorHasJustDiedLivesAgainToo) {
  for (const absl::Duration later : {absl::Seconds(1), absl::Seconds(1.1)}) {
    Supervisor supervisor(Supervisor::Options(), &clock_);
    supervisor.RestartBy(
        [this](Role, uint32_t, const std::string&) { return Process::Start(Script(kForever, -1, "again")); });
    Pipe ready;
    supervisor.Add(Role::kCoordinator, 0, Start(Script(kForever, -1, "coordinator")), Path("coordinator"));
    const char* const fails = "trap 'kill $!; exit 1' TERM; tail -f /dev/null & echo here >&$FD; wait";
    supervisor.Add(Role::kWorker, 0, Start(Script(fails, ready.to.get(), "worker")), Path("worker"));
    ASSERT_EQ(ready.ReadLine(), "here");
    const auto pids = supervisor.running();
    kill(static_cast<pid_t>(pids[0].pid), SIGKILL);
    AwaitExit(static_cast<pid_t>(pids[0].pid));
    supervisor.Update();
    clock_.Advance(later);
    kill(static_cast<pid_t>(pids[1].pid), SIGTERM);
    AwaitExit(static_cast<pid_t>(pids[1].pid));
    supervisor.Update();
    EXPECT_EQ(supervisor.failing(), later > absl::Seconds(1));
    EXPECT_EQ(supervisor.restarts(), later > absl::Seconds(1) ? 1u : 2u);
  }
}

TEST_F(SupervisorRestartTest, MembersThatADeadCoordinatorHadLetGoLiveAgainWithItsNextLife) {
  Add(Role::kCoordinator);
  Add(Role::kShard, 0, "exit 0");
  Add(Role::kWorker);
  LaterLives(Role::kShard, 0, kForever);
  supervisor_.NoteRunEnds(true);
  AwaitEndOf(PidOf(Role::kShard));
  EXPECT_THAT(restarted_, IsEmpty()) << "the run is ending";
  Kill(Role::kCoordinator);
  EXPECT_THAT(restarted_, ElementsAre("arcshard-coordinator-0", "arcshard-shard-0"));
  EXPECT_THAT(supervisor_.TakeNews(),
              ElementsAre(HasSubstr("it is started again at once"),
                          "arcshard-shard 0 had ended in order; it is started again, because the coordinator was"));
}

TEST_F(SupervisorRestartTest, AMemberIsCalledBackOnceForEachLifeOfTheCoordinatorUnlessTheRunEnds) {
  Add(Role::kCoordinator);
  Add(Role::kShard, 0, "exit 0");
  Add(Role::kWorker, 0, kForever);
  AwaitExit(PidOf(Role::kShard));
  Kill(Role::kCoordinator);
  AwaitEndOf(PidOf(Role::kShard));  // the next life, which ends in order too
  EXPECT_THAT(restarted_, ElementsAre("arcshard-coordinator-0", "arcshard-shard-0"));
  LaterLives(Role::kWorker, 0, "exit 0");
  supervisor_.NoteRunEnds(true);
  Kill(Role::kWorker);
  AwaitEndOf(PidOf(Role::kWorker));
  EXPECT_EQ(restarted_.size(), 3u) << "it ended in order, as the run does";
}

TEST_F(SupervisorRestartTest, AfterTheOrderlyEndADeathIsNoFailure) {
  Add(Role::kCoordinator, 0, "exit 0");
  Add(Role::kWorker);
  AwaitEndOf(PidOf(Role::kCoordinator));
  Kill(Role::kWorker);
  EXPECT_TRUE(supervisor_.all_ended());
  EXPECT_THAT(restarted_, IsEmpty());
  EXPECT_THAT(supervisor_.TakeNews(),
              ElementsAre(AllOf(StartsWith("arcshard-worker 0 (pid "), HasSubstr(") was killed by signal 9"),
                                HasSubstr("; the run ends without it"))));
  EXPECT_EQ(supervisor_.End().status, 0);
}

TEST_F(SupervisorRestartTest, WhoWasStartedAgainTooLateForTheEndIsKilledAndHasNotFailed) {
  Pipe go;
  Add(Role::kCoordinator, 0, kStoppable, go.to.get());
  Add(Role::kWorker);
  ASSERT_EQ(go.ReadLine(), "here");
  Kill(Role::kWorker);
  supervisor_.Stop();
  AwaitEndOf(PidOf(Role::kCoordinator));
  ASSERT_TRUE(supervisor_.coordinator_ended_in_order());
  EXPECT_EQ(supervisor_.deadline(), clock_.Now() + absl::Seconds(5));
  clock_.Advance(absl::Seconds(5));
  supervisor_.Update();
  AwaitEndOfAll();
  EXPECT_EQ(supervisor_.End().status, 0);
  EXPECT_EQ(supervisor_.End().sentence, "");
}

TEST_F(SupervisorRestartTest, WhoIsRefusedWhileTheRunEndsDoesNotEndIt) {
  Add(Role::kCoordinator);
  Add(Role::kWorker);
  LaterLives(Role::kWorker, 0, "echo 'x: error: the run has all its members'; exit 1");
  supervisor_.NoteRunEnds(true);
  Kill(Role::kWorker);
  AwaitEndOf(PidOf(Role::kWorker));
  EXPECT_FALSE(supervisor_.failing());
  EXPECT_NE(PidOf(Role::kCoordinator), 0);
  EXPECT_EQ(supervisor_.restarts(), 1u);
}

TEST_F(SupervisorRestartTest, WhoWasRefusedJustBeforeTheOrderlyEndIsPardoned) {
  Pipe ready;
  Add(Role::kCoordinator, 0, kStoppable, ready.to.get());
  Add(Role::kWorker);
  LaterLives(Role::kWorker, 0, "echo 'x: error: the run has all its members'; exit 1");
  ASSERT_EQ(ready.ReadLine(), "here");
  Kill(Role::kWorker);
  AwaitEndOf(PidOf(Role::kWorker));
  EXPECT_TRUE(supervisor_.failing());  // as far as is known now
  supervisor_.Stop();
  AwaitEndOf(PidOf(Role::kCoordinator));
  EXPECT_FALSE(supervisor_.failing());
  EXPECT_EQ(supervisor_.End().status, 0);
}

TEST_F(SupervisorRestartTest, AStartThatFailsIsTriedAgainLater) {
  Add(Role::kCoordinator);
  Add(Role::kShard);
  refusal_ = absl::ResourceExhaustedError("arcshard-shard: cannot start: Cannot allocate memory");
  Kill(Role::kShard);
  EXPECT_EQ(PidOf(Role::kShard), 0);
  EXPECT_FALSE(supervisor_.failing());
  EXPECT_EQ(supervisor_.deadline(), clock_.Now() + absl::Seconds(1));
  EXPECT_THAT(
      supervisor_.TakeNews(),
      ElementsAre(HasSubstr("at once"),
                  "arcshard-shard 0 failed: arcshard-shard: cannot start: Cannot allocate memory; it is started "
                  "again in 1s (restart 2 of at most 5 within 10m)"));
  refusal_ = absl::OkStatus();
  clock_.Advance(absl::Seconds(1));
  supervisor_.Update();
  EXPECT_NE(PidOf(Role::kShard), 0);
}

TEST_F(SupervisorRestartTest, AStopAtOnceStartsNobodyAgain) {
  Add(Role::kCoordinator);
  Add(Role::kShard);
  Add(Role::kWorker);
  Kill(Role::kShard);
  Kill(Role::kShard);  // whose next life waits
  kill(PidOf(Role::kWorker), SIGSEGV);
  AwaitExit(PidOf(Role::kWorker));  // which is not noticed before
  supervisor_.StopAtOnce();
  AwaitEndOf(PidOf(Role::kCoordinator));
  EXPECT_TRUE(supervisor_.all_ended());
  EXPECT_EQ(supervisor_.restarts(), 1u);
  EXPECT_EQ(supervisor_.End().status, 130);
}

TEST_F(SupervisorRestartTest, WhatRunsIsListedUnderItsOldNumber) {
  Add(Role::kCoordinator);
  Add(Role::kShard, 0);
  Add(Role::kShard, 1);
  Kill(Role::kShard, 0);
  ASSERT_EQ(supervisor_.running().size(), 3u);
  EXPECT_EQ(supervisor_.running()[1].index, 0u);
  EXPECT_EQ(supervisor_.running()[1].log, Path("arcshard-shard-0"));
}

}  // namespace
}  // namespace arcshard::cli
