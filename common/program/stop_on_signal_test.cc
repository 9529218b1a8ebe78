#include "common/program/stop_on_signal.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/testing/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;

// A process that is asked to end, and notes it.
class StopOnSignalTest : public ::testing::Test {
 protected:
  StopOnSignalTest() : signals_(*TakeStopSignals()) {}

  StopOnSignal::Options Options() {
    return {.signals = signals_.get(),
            .clock = &clock_,
            .ask = [this](const std::string& signal) { return Note("asked by " + signal, ends_in_order_); },
            .end = [this](int, const std::string& why) { Note("ended: " + why, true); }};
  }

  // Waits until `count` notes have been taken, and returns them.
  std::vector<std::string> Notes(size_t count) {
    MutexLock lock(&mutex_);
    while (notes_.size() < count) changed_.Wait(&mutex_);
    return notes_;
  }

  const FakeClock clock_;  // stands still
  const std::unique_ptr<SignalQueue> signals_;
  bool ends_in_order_ = true;

 private:
  bool Note(std::string what, bool result) {
    MutexLock lock(&mutex_);
    notes_.push_back(std::move(what));
    changed_.NotifyAll();
    return result;
  }

  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> notes_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(StopOnSignalTest, TheFirstSignalAsksForAnOrderlyEnd) {
  {
    const StopOnSignal stop(Options());
    EXPECT_EQ(stop.FailureStatus(), EXIT_FAILURE);
    kill(getpid(), SIGTERM);
    Notes(1);
    EXPECT_EQ(stop.FailureStatus(), 128 + SIGTERM);
  }
  EXPECT_THAT(Notes(1), ElementsAre("asked by SIGTERM"));
}

TEST_F(StopOnSignalTest, ATerminalThatGoesAwayAsksForItToo) {
  const StopOnSignal stop(Options());
  kill(getpid(), SIGHUP);
  EXPECT_THAT(Notes(1), ElementsAre("asked by SIGHUP"));
}

TEST_F(StopOnSignalTest, WithoutARunItEndsAtOnce) {
  ends_in_order_ = false;
  const StopOnSignal stop(Options());
  kill(getpid(), SIGINT);
  EXPECT_THAT(Notes(2),
              ElementsAre("asked by SIGINT", "ended: stopped by SIGINT; there was no run yet to end in order"));
}

TEST_F(StopOnSignalTest, WhatDoesNotEndWithinTheGraceEndsAtOnce) {
  StopOnSignal::Options options = Options();
  options.grace = absl::Milliseconds(1);
  const StopOnSignal stop(options);
  kill(getpid(), SIGTERM);
  EXPECT_EQ(Notes(2).back(), "ended: stopped by SIGTERM: the run has not ended in order within 1ms (--stop-grace)");
}

TEST_F(StopOnSignalTest, ASecondSignalEndsAtOnce) {
  std::atomic<bool> ended = false;
  StopOnSignal::Options options = Options();
  options.end = [&ended, note = options.end](int signal, const std::string& why) {
    note(signal, why);
    ended = true;
  };
  const StopOnSignal stop(options);
  kill(getpid(), SIGTERM);
  Notes(1);
  while (!ended) {  // those that come at once belong to the first
    kill(getpid(), SIGINT);
    std::this_thread::yield();
  }
  EXPECT_EQ(Notes(2).back(), "ended: stopped at once by a second signal, SIGINT");
}

TEST_F(StopOnSignalTest, SignalsThatComeWithTheFirstAreTheSameRequest) {
  StopOnSignal::Options options = Options();
  options.ask = [note = options.ask](const std::string& signal) {
    for (const int more : {SIGTERM, SIGINT, SIGHUP}) kill(getpid(), more);
    return note(signal);
  };
  {
    const StopOnSignal stop(options);
    kill(getpid(), SIGTERM);
    Notes(1);
  }
  EXPECT_THAT(Notes(1), ElementsAre("asked by SIGTERM"));
}

TEST(EndOfAProcessDeathTest, ItExitsWithTheSignalsStatusAndSaysWhy) {
  const auto stopped = [] {
    const auto signals = *TakeStopSignals();
    const SystemClock clock;
    const StopOnSignal stop(
        {.signals = signals.get(), .clock = &clock, .ask = [](const std::string&) { return false; }});
    kill(getpid(), SIGTERM);
    while (true) pause();
  };
  EXPECT_EXIT(stopped(), ::testing::ExitedWithCode(128 + SIGTERM), "error: stopped by SIGTERM");
}

}  // namespace
}  // namespace arcshard
