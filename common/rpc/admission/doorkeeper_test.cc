#include "common/rpc/admission/doorkeeper.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/net/resolve.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

constexpr int kLimit = 600'000;  // milliseconds, far more than anything here takes

// A TCP client.
class Caller {
 public:
  explicit Caller(int port) {
    const Addresses there = Resolve("127.0.0.1", port, SOCK_STREAM);
    socket_ = FileDescriptor(::socket(there->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(socket_.get(), there->ai_addr, there->ai_addrlen), 0);
  }
  int own_port() const {
    sockaddr_in own = {};
    socklen_t size = sizeof(own);
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&own), &size);
    return ntohs(own.sin_port);
  }
  // Waits until the server has ended the connection.
  bool AwaitEnd() const {
    pollfd polled = {socket_.get(), POLLIN, 0};
    char byte;
    return poll(&polled, 1, kLimit) > 0 && recv(socket_.get(), &byte, 1, 0) <= 0;
  }
  bool ended() const {
    char byte;
    return recv(socket_.get(), &byte, 1, MSG_DONTWAIT) == 0;
  }

 private:
  FileDescriptor socket_;
};

class DoorkeeperTest : public ::testing::Test {
 protected:
  void Begin(Doorkeeper::Options options) {
    auto listener = Listener::Open({"127.0.0.1", 0});
    ASSERT_TRUE(listener.ok()) << listener.status();
    port_ = listener->port();
    auto doorkeeper = Doorkeeper::Create(*std::move(listener), options, [this](FileDescriptor connection, int) {
      MutexLock lock(&mutex_);
      admitted_.push_back(std::move(connection));
      changed_.NotifyAll();
    });
    ASSERT_TRUE(doorkeeper.ok()) << doorkeeper.status();
    doorkeeper_ = *std::move(doorkeeper);
  }
  void AwaitAdmitted(size_t count) {
    MutexLock lock(&mutex_);
    while (admitted_.size() < count) changed_.Wait(&mutex_);
  }
  void HangUp(size_t which) {
    MutexLock lock(&mutex_);
    shutdown(admitted_[which].get(), SHUT_RDWR);
  }

  KnownPeers known_;
  int port_ = 0;
  Mutex mutex_;
  CondVar changed_;
  std::vector<FileDescriptor> admitted_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Doorkeeper> doorkeeper_;  // destroyed first
};

TEST_F(DoorkeeperTest, OneStrangerTooManyEndsTheOldestAndNoOther) {
  Begin({.known = &known_, .most_strangers = 2, .patience = absl::ZeroDuration()});
  const Caller first(port_);
  AwaitAdmitted(1);
  const Caller second(port_);
  AwaitAdmitted(2);
  const Caller third(port_);
  AwaitAdmitted(3);
  EXPECT_TRUE(first.AwaitEnd());
  EXPECT_FALSE(second.ended());
  EXPECT_FALSE(third.ended());
}

TEST_F(DoorkeeperTest, WhoIsKnownIsSparedAndDoesNotCount) {
  Begin({.known = &known_, .most_strangers = 1, .patience = absl::ZeroDuration()});
  const Caller member(port_);
  AwaitAdmitted(1);
  known_.Add("ipv4:127.0.0.1:" + std::to_string(member.own_port()));
  const Caller stranger(port_);
  AwaitAdmitted(2);
  const Caller another(port_);
  AwaitAdmitted(3);
  EXPECT_TRUE(stranger.AwaitEnd());
  EXPECT_FALSE(member.ended());
}

TEST_F(DoorkeeperTest, AConnectionThatHasEndedLeavesItsPlace) {
  Begin({.known = &known_, .most_strangers = 1, .patience = absl::InfiniteDuration()});
  const Caller first(port_);
  AwaitAdmitted(1);
  HangUp(0);
  const Caller second(port_);
  AwaitAdmitted(2);
  EXPECT_FALSE(second.ended());
}

TEST_F(DoorkeeperTest, ANewcomerWaitsUntilTheOldestHasHadItsTime) {
  Begin({.known = &known_, .most_strangers = 1, .patience = absl::Milliseconds(50)});
  const Caller first(port_);
  AwaitAdmitted(1);
  const Caller second(port_);
  AwaitAdmitted(2);
  EXPECT_TRUE(first.AwaitEnd());
}

TEST_F(DoorkeeperTest, ANewcomerIsLetInAsSoonAsAnotherIsKnown) {
  Begin({.known = &known_, .most_strangers = 1, .patience = absl::InfiniteDuration()});
  std::vector<std::unique_ptr<Caller>> crowd;
  for (int i = 0; i < 10; ++i) crowd.push_back(std::make_unique<Caller>(port_));
  for (size_t i = 0; i < crowd.size(); ++i) {
    AwaitAdmitted(i + 1);
    known_.Add("ipv4:127.0.0.1:" + std::to_string(crowd[i]->own_port()));
  }
  for (const auto& member : crowd) EXPECT_FALSE(member->ended());
}

TEST_F(DoorkeeperTest, WithoutAnyoneToKnowNobodyIsAStranger) {
  Begin({.known = nullptr, .most_strangers = 1, .patience = absl::ZeroDuration()});
  const Caller first(port_), second(port_), third(port_);
  AwaitAdmitted(3);
  EXPECT_FALSE(first.ended());
}

TEST_F(DoorkeeperTest, AKnownPortIsAStrangersAgainWhenItConnectsAnew) {
  known_.Add("ipv6:%5B::1%5D:7000");
  EXPECT_TRUE(known_.Has(7000));
  known_.Forget(7000);
  EXPECT_FALSE(known_.Has(7000));
  known_.Add("unix:/tmp/socket");  // has no port
}

}  // namespace
}  // namespace arcshard
