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

TEST(SignalQueueTest, AWaitEndsAtItsLimit) {
  const auto queue = MakeQueue();
  EXPECT_THAT(queue->Wait(absl::Milliseconds(1)), IsEmpty());
  EXPECT_FALSE(queue->AwaitWake(absl::ZeroDuration()));
  raise(SIGTERM);
  EXPECT_FALSE(queue->AwaitWake(absl::Milliseconds(1))) << "a signal does not wake it";
  EXPECT_THAT(queue->Take(), ElementsAre(SIGTERM)) << "and stays in the queue";
  queue->Wake();
  EXPECT_TRUE(queue->AwaitWake(absl::InfiniteDuration()));
}

TEST(SignalQueueTest, WhatTheCallerIgnoresForItsChildrenStaysIgnored) {
  const auto before = signal(SIGHUP, SIG_IGN);  // nohup
  const auto pipe_before = signal(SIGPIPE, SIG_DFL);
  {
    const auto queue = SignalQueue::Create({SIGTERM, SIGHUP, SIGPIPE});
    ASSERT_TRUE(queue.ok()) << queue.status();
    EXPECT_FALSE(Blocked(SIGHUP));
    raise(SIGHUP);
    raise(SIGPIPE);
    EXPECT_THAT((*queue)->Take(), ElementsAre(SIGPIPE));
  }
  signal(SIGHUP, before);
  signal(SIGPIPE, pipe_before);
}

TEST(SignalQueueTest, ItsEndRestoresWhatWasBlockedBefore) {
  EXPECT_FALSE(Blocked(SIGTERM));
  {
    const auto queue = MakeQueue();
    EXPECT_TRUE(Blocked(SIGTERM));
    EXPECT_TRUE(Blocked(SIGINT));
    EXPECT_FALSE(Blocked(SIGUSR2));
    raise(SIGTERM);  // what was not taken is dropped
  }
  EXPECT_FALSE(Blocked(SIGTERM));
  EXPECT_FALSE(Blocked(SIGINT));
}

TEST(SignalQueueTest, SignalsHaveNames) {
  EXPECT_EQ(SignalName(SIGTERM), "SIGTERM");
  EXPECT_EQ(SignalName(40), "signal 40");
}

}  // namespace
}  // namespace arcshard
