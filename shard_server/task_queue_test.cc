#include "shard_server/task_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "common/base/testing/fake_clock.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;

// Somebody sets the date during each of the first two waits; time passes in those after them.
class TurnedClock final : public Clock {
 public:
  MonotonicTime Now() const override { return clock_.Now(); }
  absl::Time WallTime() const override { return clock_.WallTime(); }
  void WaitUntil(MonotonicTime, Mutex*, CondVar*) const override {
    switch (++waits_) {
      case 1:
        clock_.SetForward(absl::Hours(48));
        break;
      case 2:
        clock_.SetBack(absl::Hours(96));
        break;
      default:
        clock_.Advance(absl::Hours(1));
    }
  }
  int waits() const { return waits_; }

 private:
  mutable FakeClock clock_;
  mutable int waits_ = 0;
};

TEST(TaskQueueTest, TasksAreDoneInOrderUntilOneFails) {
  TaskQueue queue;
  std::vector<int> done;
  const auto task = [&](int number, absl::Status status) {
    return [&done, number, status] {
      done.push_back(number);
      return status;
    };
  };
  queue.Post(task(1, absl::OkStatus()));
  queue.Post(task(2, absl::InternalError("the second one")));
  queue.Post(task(3, absl::OkStatus()));
  EXPECT_EQ(queue.Run(), absl::InternalError("the second one"));
  EXPECT_THAT(done, ElementsAre(1, 2));
}

TEST(TaskQueueTest, AClosedQueueDropsItsTasks) {
  TaskQueue queue;
  queue.Post([&queue] {
    queue.Close(absl::AbortedError("closed"));
    return absl::OkStatus();
  });
  queue.Post([] {
    ADD_FAILURE();
    return absl::OkStatus();
  });
  EXPECT_EQ(queue.Run(), absl::AbortedError("closed"));
}

TEST(TaskQueueTest, WaitingForTheEndLastsUntilTheQueueIsClosed) {
  TaskQueue queue;
  const FakeClock clock;  // stands still
  std::thread closer([&queue] { queue.Close(absl::OkStatus()); });
  EXPECT_TRUE(queue.AwaitClosed(clock, absl::Seconds(2)));
  closer.join();
  EXPECT_TRUE(queue.AwaitClosed(clock, absl::ZeroDuration()));
}

TEST(TaskQueueTest, WaitingForTheEndLastsAtMostTheTimeoutByTheGivenClock) {
  TaskQueue queue;
  FakeClock clock;
  EXPECT_FALSE(queue.AwaitClosed(clock, absl::ZeroDuration()));
  std::atomic<bool> waits = true;
  std::thread waiter([&] {
    EXPECT_FALSE(queue.AwaitClosed(clock, absl::Hours(2)));
    waits = false;
  });
  // The waiter may read its deadline after the clock was advanced, so it is advanced until that has passed.
  while (waits) {
    clock.Advance(absl::Hours(1));
    std::this_thread::yield();
  }
  waiter.join();
}

TEST(TaskQueueTest, ADateThatIsSetNeitherEndsTheWaitNorProlongsIt) {
  TaskQueue queue;
  const TurnedClock clock;
  EXPECT_FALSE(queue.AwaitClosed(clock, absl::Hours(2)));
  EXPECT_EQ(clock.waits(), 2 + 2) << "the date is set twice, and two hours pass";
}

}  // namespace
}  // namespace arcshard::shard
