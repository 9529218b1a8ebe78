#include "common/program/signal_queue.h"

#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

bool Blocked(int signal) {
  sigset_t now;
  pthread_sigmask(SIG_BLOCK, nullptr, &now);
  return sigismember(&now, signal) == 1;
}

bool Readable(int fd) {
  pollfd one = {fd, POLLIN, 0};
  return poll(&one, 1, 0) == 1;
}

std::unique_ptr<SignalQueue> MakeQueue() {
  auto queue = SignalQueue::Create({SIGINT, SIGTERM});
  EXPECT_TRUE(queue.ok()) << queue.status();
  return *std::move(queue);
}

TEST(SignalQueueTest, SignalsAreTakenInsteadOfHandled) {
  const auto queue = MakeQueue();
  EXPECT_THAT(queue->Take(), IsEmpty());
  raise(SIGTERM);
  raise(SIGINT);
  EXPECT_THAT(queue->Take(), UnorderedElementsAre(SIGINT, SIGTERM));
  EXPECT_THAT(queue->Take(), IsEmpty());
}

TEST(SignalQueueTest, TheDescriptorIsReadableWhileASignalWaits) {
  const auto queue = MakeQueue();
  EXPECT_FALSE(Readable(queue->fd()));
  kill(getpid(), SIGINT);
  EXPECT_TRUE(Readable(queue->fd()));
  EXPECT_THAT(queue->Take(), ElementsAre(SIGINT));
  EXPECT_FALSE(Readable(queue->fd()));
}

TEST(SignalQueueTest, AThreadWaitsForSignalsUntilItIsWoken) {
  const auto queue = MakeQueue();
  std::vector<int> seen;
  std::thread thread([&] {
    for (std::vector<int> signals; !(signals = queue->Wait()).empty();) {
      seen.insert(seen.end(), signals.begin(), signals.end());
      queue->Wake();
    }
  });
  kill(getpid(), SIGTERM);
  thread.join();
  EXPECT_THAT(seen, ElementsAre(SIGTERM));
  EXPECT_THAT(queue->Wait(), IsEmpty()) << "it stays awake";
}

TEST(SignalQueueTest, AWaitThatBeganEarlierIsWokenToo) {
  const auto queue = MakeQueue();
  std::vector<int> signals = {-1};
  std::thread thread([&] { signals = queue->Wait(); });
  queue->Wake();
  thread.join();
  EXPECT_THAT(signals, IsEmpty());
}

TEST(SignalQueueTest, ItsEndRestoresWhatWasBlockedBefore) {
  EXPECT_FALSE(Blocked(SIGTERM));
  {
    const auto queue = MakeQueue();
    EXPECT_TRUE(Blocked(SIGTERM));
    EXPECT_TRUE(Blocked(SIGINT));
    EXPECT_FALSE(Blocked(SIGUSR2));
  }
  EXPECT_FALSE(Blocked(SIGTERM));
  EXPECT_FALSE(Blocked(SIGINT));
}

TEST(SignalQueueTest, AfterRestoreTheNextSignalEndsTheProcessAtOnce) {
  const auto stopped_twice = [] {
    const auto queue = MakeQueue();
    raise(SIGTERM);
    if (queue->Take() != std::vector<int>{SIGTERM}) std::_Exit(1);
    queue->Restore();
    queue->Restore();
    raise(SIGTERM);
    std::_Exit(2);
  };
  EXPECT_EXIT(stopped_twice(), ::testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace arcshard
