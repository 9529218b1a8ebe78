#include "cli/supervision/supervisor.h"

#include <csignal>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/supervision/testing/script_test.h"
#include "common/base/testing/fake_clock.h"
#include "gmock/gmock.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class SupervisorTest : public ScriptTest {
 protected:
  // Returns its pid.
  pid_t Add(Role role, const std::string& script, int inherit_fd = -1) {
    const std::string log = absl::StrCat("log-", pids_.size());
    std::unique_ptr<Process> process = Start(Script(script, inherit_fd, log));
    pids_.push_back(process->pid());
    supervisor_.Add(role, 0, std::move(process), Path(log));
    return pids_.back();
  }
  void UpdateAfterExitOf(pid_t pid) {
    AwaitExit(pid);
    supervisor_.Update();
  }
  void UpdateAfterExitOfAll() {
    for (const RunningProcess& process : supervisor_.running()) AwaitExit(static_cast<pid_t>(process.pid));
    supervisor_.Update();
    ASSERT_TRUE(supervisor_.all_ended());
  }

  FakeClock clock_;
  Supervisor supervisor_{Supervisor::Options(), &clock_};

 private:
  std::vector<pid_t> pids_;
};

TEST_F(SupervisorTest, WhenAllEndInOrderSoDoesTheRun) {
  Add(Role::kCoordinator, "exit 0");
  Add(Role::kShard, "exit 0");
  UpdateAfterExitOfAll();
  EXPECT_EQ(supervisor_.End().status, 0);
  EXPECT_EQ(supervisor_.End().sentence, "");
}

TEST_F(SupervisorTest, AfterAFailureTheOthersHaveAGraceAndAreKilledThen) {
  const pid_t coordinator = Add(Role::kCoordinator, kForever);
  const pid_t shard = Add(Role::kShard, "echo 'x: error: no room'; exit 3");
  UpdateAfterExitOf(shard);
  EXPECT_TRUE(supervisor_.failing());
  EXPECT_EQ(supervisor_.deadline(), clock_.Now() + absl::Seconds(5));
  clock_.Advance(absl::Seconds(4.9));
  supervisor_.Update();
  EXPECT_EQ(kill(coordinator, 0), 0);
  clock_.Advance(absl::Seconds(0.1));
  supervisor_.Update();
  UpdateAfterExitOfAll();
  EXPECT_EQ(supervisor_.End().status, 3);
  EXPECT_THAT(supervisor_.End().sentence, StartsWith("arcshard-shard 0 failed: no room; its log is /"));
}

TEST_F(SupervisorTest, AKilledProcessGivesItsSignalsStatus) {
  const pid_t worker = Add(Role::kWorker, kForever);
  const pid_t coordinator = Add(Role::kCoordinator, "exit 1");
  UpdateAfterExitOf(coordinator);
  kill(worker, SIGKILL);
  UpdateAfterExitOfAll();
  EXPECT_EQ(supervisor_.End().status, 137);
  EXPECT_THAT(supervisor_.End().sentence, StartsWith("arcshard-worker 0 was killed by signal 9 (SIGKILL)"));
}

TEST_F(SupervisorTest, ALaggardAfterTheOrderlyEndIsKilledAndNamed) {
  const pid_t coordinator = Add(Role::kCoordinator, "exit 0");
  Add(Role::kWorker, kForever);
  UpdateAfterExitOf(coordinator);
  EXPECT_FALSE(supervisor_.failing());
  EXPECT_EQ(supervisor_.deadline(), clock_.Now() + absl::Seconds(30));
  clock_.Advance(absl::Seconds(30));
  supervisor_.Update();
  UpdateAfterExitOfAll();
  EXPECT_EQ(supervisor_.End().status, 1);
  EXPECT_THAT(supervisor_.End().sentence, AllOf(StartsWith("arcshard-worker 0 (pid "), HasSubstr("had to be killed")));
}

TEST_F(SupervisorTest, ACoordinatorMayDeleteForMinutesAfterAllOthersHaveEnded) {
  const pid_t coordinator = Add(Role::kCoordinator, kForever);
  const pid_t shard = Add(Role::kShard, "exit 0");
  UpdateAfterExitOf(shard);
  clock_.Advance(absl::Minutes(9));
  supervisor_.Update();
  EXPECT_EQ(kill(coordinator, 0), 0);
  EXPECT_EQ(supervisor_.deadline(), clock_.Now() + absl::Minutes(1));
}

TEST_F(SupervisorTest, ACoordinatorThatHangsAfterAllOthersHaveEndedIsKilledAndNamed) {
  Add(Role::kCoordinator, kForever);
  const pid_t shard = Add(Role::kShard, "exit 0");
  UpdateAfterExitOf(shard);
  clock_.Advance(absl::Minutes(10));
  supervisor_.Update();
  UpdateAfterExitOfAll();
  EXPECT_EQ(supervisor_.End().status, 1);
  EXPECT_THAT(supervisor_.End().sentence, HasSubstr("had to be killed"));
}

TEST_F(SupervisorTest, ACoordinatorAloneHasAllTheTime) {
  Add(Role::kCoordinator, kForever);
  supervisor_.Update();
  EXPECT_EQ(supervisor_.deadline(), MonotonicTime::InfiniteFuture());
}

TEST_F(SupervisorTest, AStopIsSentToTheCoordinator) {
  Pipe ready;
  Add(Role::kCoordinator, "trap 'kill $!; exit 0' TERM; tail -f /dev/null & echo here >&$FD; wait", ready.to.get());
  const pid_t shard = Add(Role::kShard, kForever);
  ASSERT_EQ(ready.ReadLine(), "here");
  supervisor_.Stop();
  EXPECT_EQ(kill(shard, 0), 0);
  kill(shard, SIGKILL);
  UpdateAfterExitOfAll();
  EXPECT_EQ(supervisor_.End().status, 137);  // the shard's status: the coordinator ended with 0
}

TEST_F(SupervisorTest, AStopAtOnceKillsAll) {
  Add(Role::kCoordinator, kForever);
  Add(Role::kShard, kForever);
  supervisor_.StopAtOnce();
  UpdateAfterExitOfAll();
  EXPECT_EQ(supervisor_.End().status, 130);
  EXPECT_THAT(supervisor_.End().sentence, StartsWith("stopped at once"));
}

TEST_F(SupervisorTest, AStopAtOnceDuringAFailureStillTellsTheFailure) {
  Add(Role::kCoordinator, kForever);
  const pid_t shard = Add(Role::kShard, "exit 3");
  UpdateAfterExitOf(shard);
  supervisor_.StopAtOnce();
  UpdateAfterExitOfAll();
  EXPECT_EQ(supervisor_.End().status, 3);
}

TEST_F(SupervisorTest, ADismissedProcessHasNotFailed) {
  const pid_t coordinator = Add(Role::kCoordinator, "exit 0");
  Add(Role::kShard, kForever);
  const pid_t worker = Add(Role::kWorker, "exit 1");
  EXPECT_FALSE(supervisor_.coordinator_ended_in_order());
  AwaitExit(coordinator);
  UpdateAfterExitOf(worker);
  EXPECT_TRUE(supervisor_.coordinator_ended_in_order());
  supervisor_.Dismiss();
  UpdateAfterExitOfAll();
  EXPECT_EQ(supervisor_.End().status, 0);
}

TEST_F(SupervisorTest, WhatRunsIsListed) {
  const pid_t coordinator = Add(Role::kCoordinator, kForever);
  const pid_t shard = Add(Role::kShard, "exit 0");
  UpdateAfterExitOf(shard);
  ASSERT_EQ(supervisor_.running().size(), 1u);
  EXPECT_EQ(supervisor_.running()[0].pid, coordinator);
}

}  // namespace
}  // namespace arcshard::cli
