#include "worker/watchdog.h"

#include <atomic>
#include <future>
#include <string>

#include "common/base/testing/fake_clock.h"
#include "gtest/gtest.h"

namespace arcshard::worker {
namespace {

TEST(WatchdogTest, TellsTheReasonWhenTheGraceAfterTheRunsEndHasPassed) {
  FakeClock clock;
  std::promise<std::string> told;
  Watchdog watchdog({.clock = &clock, .grace = absl::Seconds(4), .expired = [&](const absl::Status& status) {
                       told.set_value(std::string(status.message()));
                     }});
  std::future<std::string> expired = told.get_future();
  clock.Advance(absl::Hours(100));  // of training
  watchdog.Arm(absl::AbortedError("shard 1 died"));
  watchdog.Arm(absl::AbortedError("something later"));
  clock.Advance(absl::Seconds(4));
  EXPECT_EQ(expired.get(), "shard 1 died");
}

TEST(WatchdogTest, IsQuietWhenTheProcessEndsByItself) {
  FakeClock clock;
  std::atomic<bool> expired = false;
  {
    Watchdog watchdog({.clock = &clock, .expired = [&](const absl::Status&) { expired = true; }});
    watchdog.Arm(absl::OkStatus());
    clock.Advance(absl::Seconds(3));
  }
  {
    Watchdog never_armed({.clock = &clock, .expired = [&](const absl::Status&) { expired = true; }});
  }
  EXPECT_FALSE(expired);
}

}  // namespace
}  // namespace arcshard::worker
