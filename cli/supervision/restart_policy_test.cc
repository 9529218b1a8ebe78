#include "cli/supervision/restart_policy.h"

#include <csignal>

#include "common/base/testing/fake_clock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

constexpr ProcessExit kKilled{.signal = SIGKILL};

class RestartPolicyTest : public ::testing::Test {
 protected:
  // How long after its death a shard is started again; infinite: it is not.
  absl::Duration WaitAfter(const ProcessExit& exit, uint32_t index = 0) {
    const MonotonicTime now = clock_.Now();
    const RestartPolicy::Verdict verdict = policy_.Died(Role::kShard, index, exit, now);
    clause_ = verdict.clause;
    return verdict.restart_at.has_value() ? *verdict.restart_at - now : absl::InfiniteDuration();
  }

  FakeClock clock_;
  RestartPolicy policy_{RestartPolicy::Options()};
  std::string clause_;  // of the last verdict
};

TEST_F(RestartPolicyTest, AnAccidentIsAnsweredByARestart) {
  uint32_t index = 0;
  for (const int signal : {SIGKILL, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) {
    EXPECT_EQ(WaitAfter({.signal = signal}, index++), absl::ZeroDuration()) << signal;
  }
  EXPECT_EQ(clause_, "it is started again at once (restart 1 of at most 5 within 10m)");
}

TEST_F(RestartPolicyTest, WhoEndsWithAnErrorOfItsOwnIsNotStartedAgain) {
  for (const int code : {1, 2, 127, 137}) EXPECT_EQ(WaitAfter({.code = code}), absl::InfiniteDuration()) << code;
  EXPECT_EQ(clause_, "");
}

TEST_F(RestartPolicyTest, WhoIsAskedToEndIsNotStartedAgain) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) {
    EXPECT_EQ(WaitAfter({.signal = signal}), absl::InfiniteDuration()) << signal;
  }
  EXPECT_EQ(WaitAfter(kKilled), absl::ZeroDuration());  // none of these counted as a restart
}

TEST_F(RestartPolicyTest, TheFirstRestartIsAtOnceAndEachFurtherOneWaitsTwiceAsLong) {
  EXPECT_EQ(WaitAfter(kKilled), absl::ZeroDuration());
  EXPECT_EQ(WaitAfter(kKilled), absl::Seconds(1));
  EXPECT_EQ(WaitAfter(kKilled), absl::Seconds(2));
  EXPECT_EQ(WaitAfter(kKilled), absl::Seconds(4));
  EXPECT_EQ(clause_, "it is started again in 4s (restart 4 of at most 5 within 10m)");
  EXPECT_EQ(WaitAfter(kKilled), absl::Seconds(8));
}

TEST_F(RestartPolicyTest, AfterTooManyRestartsItGivesUpAndSaysHowManyThereWere) {
  for (int i = 0; i < 5; ++i) EXPECT_LT(WaitAfter(kKilled), absl::InfiniteDuration());
  EXPECT_EQ(WaitAfter(kKilled), absl::InfiniteDuration());
  EXPECT_EQ(clause_, "it had been started again 5 times within 10m (--max-restarts)");
}

TEST_F(RestartPolicyTest, WhatIsLongAgoDoesNotCount) {
  for (int i = 0; i < 5; ++i) {
    WaitAfter(kKilled);
    clock_.Advance(absl::Minutes(1));
  }
  clock_.Advance(absl::Minutes(5) - absl::Nanoseconds(1));
  EXPECT_EQ(WaitAfter(kKilled), absl::InfiniteDuration());
  clock_.Advance(absl::Nanoseconds(1));  // the first is ten minutes ago
  EXPECT_EQ(WaitAfter(kKilled), absl::Seconds(8));
  EXPECT_EQ(WaitAfter(kKilled), absl::InfiniteDuration());
  clock_.Advance(absl::Minutes(10));
  EXPECT_EQ(WaitAfter(kKilled), absl::ZeroDuration());
}

TEST_F(RestartPolicyTest, EachProcessHasItsOwnRestarts) {
  for (int i = 0; i < 5; ++i) WaitAfter(kKilled, 0);
  EXPECT_EQ(WaitAfter(kKilled, 0), absl::InfiniteDuration());
  EXPECT_EQ(WaitAfter(kKilled, 1), absl::ZeroDuration());
  EXPECT_EQ(policy_.Died(Role::kWorker, 0, kKilled, clock_.Now()).restart_at, clock_.Now());
}

TEST_F(RestartPolicyTest, NoWaitIsLongerThanTheLongest) {
  RestartPolicy many({.max_restarts = 1000});
  absl::Duration wait;
  for (int i = 0; i < 100; ++i) {
    const RestartPolicy::Verdict verdict = many.Died(Role::kShard, 0, kKilled, clock_.Now());
    ASSERT_TRUE(verdict.restart_at.has_value());
    wait = *verdict.restart_at - clock_.Now();
    EXPECT_LE(wait, absl::Minutes(1));
  }
  EXPECT_EQ(wait, absl::Minutes(1));
}

TEST_F(RestartPolicyTest, WithoutRestartsEveryDeathIsFinalAndNothingIsAdded) {
  RestartPolicy none({.max_restarts = 0});
  const RestartPolicy::Verdict verdict = none.Died(Role::kShard, 0, kKilled, clock_.Now());
  EXPECT_EQ(verdict.restart_at, std::nullopt);
  EXPECT_EQ(verdict.clause, "");
}

TEST_F(RestartPolicyTest, AStartThatFailsIsTriedAgainAndCounts) {
  WaitAfter(kKilled);
  const RestartPolicy::Verdict verdict = policy_.DiedBlameless(Role::kShard, 0, clock_.Now());
  EXPECT_EQ(verdict.restart_at, clock_.Now() + absl::Seconds(1));
  EXPECT_EQ(WaitAfter(kKilled), absl::Seconds(2));
}

}  // namespace
}  // namespace arcshard::cli
