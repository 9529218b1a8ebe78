#include "cli/supervision/first_failure.h"

#include <csignal>
#include <vector>

#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

constexpr absl::Duration kWindow = absl::Seconds(1);

MonotonicTime At(double seconds) { return MonotonicTime() + absl::Seconds(seconds); }

EndedProcess Coordinator(double at, ProcessExit exit) {
  return {.role = Role::kCoordinator, .pid = 10, .exit = exit, .at = At(at)};
}
EndedProcess Shard(uint32_t index, double at, ProcessExit exit) {
  return {.role = Role::kShard, .index = index, .pid = 100 + index, .exit = exit, .at = At(at)};
}
EndedProcess Worker(uint32_t index, double at, ProcessExit exit) {
  return {.role = Role::kWorker, .index = index, .pid = 200 + index, .exit = exit, .at = At(at)};
}

constexpr ProcessExit kFailed{.code = 1};
constexpr ProcessExit kKilled{.signal = SIGKILL};

size_t Choose(const std::vector<EndedProcess>& ended, int64_t blamed = 0) {
  return ChooseFailure(ended, blamed, kWindow);
}

TEST(FirstFailureTest, WithoutAFailureNobodyIsChosen) {
  EXPECT_EQ(Choose({}), 0u);
  EXPECT_EQ(Choose({Worker(0, 0, {}), Coordinator(1, {})}), 2u);
}

TEST(FirstFailureTest, TheFirstFailureWins) {
  EXPECT_EQ(Choose({Worker(0, 0, {}), Shard(1, 1, kFailed), Worker(1, 2, kFailed)}), 1u);
}

TEST(FirstFailureTest, AKilledProcessExplainsWhatOthersNoticedBefore) {
  EXPECT_EQ(Choose({Worker(0, 0, kFailed), Coordinator(0.1, kFailed), Shard(1, 0.9, kKilled)}, 200), 2u);
}

TEST(FirstFailureTest, ACrashLongAfterTheFirstFailureIsItsConsequence) {
  EXPECT_EQ(Choose({Worker(0, 0, kFailed), Shard(1, 1.1, {.signal = SIGSEGV})}), 0u);
}

TEST(FirstFailureTest, AProcessThatWeKilledIsNotBlamed) {
  EndedProcess killed = Shard(0, 0.5, kKilled);
  killed.killed_by_us = true;
  EXPECT_EQ(Choose({Worker(0, 0, kFailed), killed}), 0u);
  EXPECT_EQ(Choose({killed}), 1u);
}

TEST(FirstFailureTest, AnEndThatTheRunSurvivedIsNoFailure) {
  EndedProcess survived = Shard(0, 0, kKilled);
  survived.survived = true;
  EXPECT_EQ(Choose({survived}), 1u);
  EXPECT_EQ(Choose({survived, Worker(0, 0.1, kFailed)}), 1u);
  EXPECT_EQ(Choose({survived, Worker(0, 0.1, kFailed), Coordinator(0.2, kFailed)}, 100), 2u);  // though it is blamed
}

TEST(FirstFailureTest, WhomTheCoordinatorBlamesIsTheCulprit) {
  EXPECT_EQ(Choose({Shard(0, 0, kFailed), Coordinator(0, kFailed), Worker(0, 0, kFailed), Worker(1, 0, kFailed)}, 201),
            3u);
}

TEST(FirstFailureTest, TheCoordinatorIsChosenBeforeProcessesThatRepeatItsError) {
  EXPECT_EQ(Choose({Shard(0, 0, kFailed), Worker(0, 0, kFailed), Coordinator(0.1, kFailed)}), 2u);
  // The blamed process hangs and so has not ended.
  EXPECT_EQ(Choose({Shard(0, 0, kFailed), Coordinator(0.1, kFailed)}, 207), 1u);
}

TEST(FirstFailureTest, TheSentenceNamesProcessCauseAndLog) {
  EndedProcess process = Worker(1, 0, {.signal = SIGSEGV});
  process.log = "runs/a/logs/worker-1.log";
  EXPECT_EQ(DescribeFailure(process),
            "arcshard-worker 1 was killed by signal 11 (SIGSEGV); its log is runs/a/logs/worker-1.log");
  process.exit = kFailed;
  EXPECT_EQ(DescribeFailure(process),
            "arcshard-worker 1 ended with status 1 without an error message; its log is runs/a/logs/worker-1.log");
  process.last_error = "data.train: no such folder";
  EXPECT_EQ(DescribeFailure(process),
            "arcshard-worker 1 failed: data.train: no such folder; its log is runs/a/logs/worker-1.log");
  process.role = Role::kCoordinator;
  EXPECT_EQ(DescribeFailure(process),
            "arcshard-coordinator failed: data.train: no such folder; its log is runs/a/logs/worker-1.log");
}

TEST(FirstFailureTest, ARemarkStandsBeforeTheLog) {
  EndedProcess process = Worker(1, 0, {.signal = SIGSEGV});
  process.log = "worker-1.log";
  process.remark = "it had been started again 5 times";
  EXPECT_EQ(DescribeEnd(process), "arcshard-worker 1 was killed by signal 11 (SIGSEGV)");
  EXPECT_EQ(DescribeFailure(process),
            "arcshard-worker 1 was killed by signal 11 (SIGSEGV); it had been started again 5 times; its log is "
            "worker-1.log");
}

TEST(FirstFailureTest, AnEndThatTheRunHasSurvivedIsToldWithThePid) {
  EndedProcess process = Worker(1, 0, {.signal = SIGSEGV});
  process.pid = 1021;
  process.survived = true;
  EXPECT_EQ(DescribeEnd(process), "arcshard-worker 1 (pid 1021) was killed by signal 11 (SIGSEGV)");
}

TEST(FirstFailureTest, AKillThatIsNotOursMayBeForWantOfMemory) {
  EndedProcess process = Worker(1, 0, kKilled);
  process.log = "worker-1.log";
  EXPECT_EQ(DescribeFailure(process),
            "arcshard-worker 1 was killed by signal 9 (SIGKILL): memory may have run out (the kernel's OOM killer, or "
            "a container's memory limit); its log is worker-1.log");
  process.killed_by_us = true;
  EXPECT_EQ(DescribeFailure(process), "arcshard-worker 1 was killed by signal 9 (SIGKILL); its log is worker-1.log");
}

}  // namespace
}  // namespace arcshard::cli
