#include "common/net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "common/net/descriptors.h"
#include "common/net/resolve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;

FileDescriptor Connect(const std::string& host, int port) {
  const Addresses there = Resolve(host, port, SOCK_STREAM);
  if (there == nullptr) return FileDescriptor();
  FileDescriptor socket(::socket(there->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return connect(socket.get(), there->ai_addr, there->ai_addrlen) == 0 ? std::move(socket) : FileDescriptor();
}

// Waits until a connection waits, and accepts it.
Listener::Accepted AcceptNext(const Listener& listener) {
  std::vector<pollfd> polled;
  for (const FileDescriptor& socket : listener.sockets()) polled.push_back({socket.get(), POLLIN, 0});
  EXPECT_GT(poll(polled.data(), polled.size(), 600'000), 0);
  for (size_t i = 0; i < polled.size(); ++i) {
    if (polled[i].revents != 0) return Listener::Accept(listener.sockets()[i]);
  }
  return {Listener::Outcome::kNone};
}

TEST(ListenerTest, AcceptsWhoConnectsAndNobodyElse) {
  const auto listener = Listener::Open({"127.0.0.1", 0});
  ASSERT_TRUE(listener.ok()) << listener.status();
  ASSERT_GT(listener->port(), 0);
  EXPECT_EQ(Listener::Accept(listener->sockets().front()).outcome, Listener::Outcome::kNone);
  const FileDescriptor client = Connect("127.0.0.1", listener->port());
  ASSERT_TRUE(client.valid());
  const Listener::Accepted accepted = AcceptNext(*listener);
  ASSERT_EQ(accepted.outcome, Listener::Outcome::kAccepted);
  sockaddr_in own = {};
  socklen_t size = sizeof(own);
  getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &size);
  EXPECT_EQ(PeerPort(accepted.connection), ntohs(own.sin_port));
  EXPECT_NE(fcntl(accepted.connection.get(), F_GETFL) & O_NONBLOCK, 0);
  int no_delay = 0;
  size = sizeof(no_delay);
  getsockopt(accepted.connection.get(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size);
  EXPECT_NE(no_delay, 0);
}

TEST(ListenerTest, EveryWayToNameThisMachineCanBeReached) {
  const auto ipv6 = Listener::Open({"::1", 0});
  if (ipv6.ok()) {
    EXPECT_TRUE(Connect("::1", ipv6->port()).valid());
    EXPECT_FALSE(Connect("127.0.0.1", ipv6->port()).valid());
  }
  for (const char* const host : {"localhost", "0.0.0.0", "::"}) {
    const auto listener = Listener::Open({host, 0});
    ASSERT_TRUE(listener.ok()) << listener.status();
    EXPECT_TRUE(Connect("127.0.0.1", listener->port()).valid()) << host;
    if (ipv6.ok() && std::string(host) != "localhost") {  // whose name need not mean ::1
      EXPECT_TRUE(Connect("::1", listener->port()).valid()) << host;
    }
  }
}

TEST(ListenerTest, WhyItCannotListenIsSaidWithTheAddress) {
  const auto first = Listener::Open({"127.0.0.1", 0});
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status second = Listener::Open({"127.0.0.1", first->port()}).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(second.message(), "cannot listen on 127.0.0.1:" + std::to_string(first->port()) + ": the port is in use");
  EXPECT_THAT(std::string(Listener::Open({"192.0.2.1", 0}).status().message()),
              HasSubstr("192.0.2.1:0: the address is not of this host"));
  EXPECT_THAT(std::string(Listener::Open({"no.such.host.invalid", 7000}).status().message()),
              HasSubstr("cannot listen on no.such.host.invalid:7000: "));
}

TEST(ListenerTest, ConnectionsLeaveDescriptorsForFiles) {
  const auto listener = Listener::Open({"127.0.0.1", 0});
  ASSERT_TRUE(listener.ok()) << listener.status();
  rlimit before = {};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit small = {128, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &small), 0);
  std::vector<FileDescriptor> held;
  while (held.empty() || held.back().get() + 2 < FirstReservedDescriptor()) {
    held.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
  // The client takes the last number but one, and the accepted connection the first that is reserved.
  const FileDescriptor client = Connect("127.0.0.1", listener->port());
  EXPECT_EQ(client.get(), FirstReservedDescriptor() - 1);
  EXPECT_EQ(AcceptNext(*listener).outcome, Listener::Outcome::kRefused);
  char byte;
  EXPECT_EQ(recv(client.get(), &byte, 1, 0), 0);  // it was closed at once
  EXPECT_TRUE(FileDescriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)).valid());
  held.pop_back();
  const FileDescriptor another = Connect("127.0.0.1", listener->port());
  EXPECT_EQ(AcceptNext(*listener).outcome, Listener::Outcome::kRefused);
  held.pop_back();
  held.pop_back();
  const FileDescriptor last = Connect("127.0.0.1", listener->port());
  EXPECT_EQ(AcceptNext(*listener).outcome, Listener::Outcome::kAccepted);
  setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace arcshard
