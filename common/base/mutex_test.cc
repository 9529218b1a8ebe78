#include "common/base/mutex.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <thread>

#include "gtest/gtest.h"

namespace {
std::atomic<time_t> g_date_is_ahead = 0;  // seconds
}  // namespace

// Takes the C library's place in this program: the date can be set.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const int result = static_cast<int>(syscall(SYS_clock_gettime, clock, time));
  if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += g_date_is_ahead;
  return result;
}

namespace arcshard {
namespace {

TEST(MutexTest, AWaiterSeesWhatWasWrittenBeforeTheNotification) {
  Mutex mutex;
  CondVar changed;
  int value = 0;
  std::thread writer([&] {
    MutexLock lock(&mutex);
    value = 7;
    changed.NotifyAll();
  });
  {
    MutexLock lock(&mutex);
    while (value == 0) changed.Wait(&mutex);
    EXPECT_EQ(value, 7);
  }
  writer.join();
}

TEST(MutexTest, AWaitWithATimeoutReturnsWithTheLockHeld) {
  Mutex mutex;
  CondVar changed;
  MutexLock lock(&mutex);
  EXPECT_FALSE(changed.WaitFor(&mutex, absl::Milliseconds(1)));
}

TEST(MutexTest, AWaitTakesItsTimeWhateverTheDate) {
  Mutex mutex;
  CondVar changed;
  MutexLock lock(&mutex);
  for (const time_t ahead : {3600, -3600}) {  // a wait until a date would take an hour, or no time at all
    g_date_is_ahead = ahead;
    timespec begin = {}, end = {};
    clock_gettime(CLOCK_MONOTONIC, &begin);
    EXPECT_FALSE(changed.WaitFor(&mutex, absl::Milliseconds(20)));
    clock_gettime(CLOCK_MONOTONIC, &end);
    EXPECT_GE(absl::DurationFromTimespec(end) - absl::DurationFromTimespec(begin), absl::Milliseconds(20));
    EXPECT_FALSE(changed.WaitFor(&mutex, -absl::Seconds(1)));
  }
  g_date_is_ahead = 0;
}

TEST(MutexTest, AnInfiniteWaitLastsUntilTheNotification) {
  Mutex mutex;
  CondVar changed;
  bool ready = false;
  std::thread writer([&] {
    MutexLock lock(&mutex);
    ready = true;
    changed.NotifyAll();
  });
  {
    MutexLock lock(&mutex);
    while (!ready) EXPECT_TRUE(changed.WaitFor(&mutex, absl::InfiniteDuration()));
  }
  writer.join();
}

}  // namespace
}  // namespace arcshard
