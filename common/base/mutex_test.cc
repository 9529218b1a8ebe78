#include "common/base/mutex.h"

#include <thread>

#include "gtest/gtest.h"

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
