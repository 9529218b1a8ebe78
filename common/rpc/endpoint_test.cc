#include "common/rpc/endpoint.h"

#include <grpcpp/client_context.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "common/net/listener.h"
#include "common/net/resolve.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;

// Sets a variable of the environment as long as it exists.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~Variable() { unsetenv(name_); }

 private:
  const char* const name_;
};

grpc::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  context.set_wait_for_ready(true);
  grpc::health::v1::HealthCheckResponse response;
  return grpc::health::v1::Health::NewStub(channel)->Check(&context, grpc::health::v1::HealthCheckRequest(), &response);
}

TEST(PrepareGrpcTest, APollStrategyThatGrpcDoesNotKnowIsTakenOut) {
  for (const char* const strategy : {"none", "bogus", "", "epoll1,poll", "Poll"}) {
    const Variable variable("GRPC_POLL_STRATEGY", strategy);
    PrepareGrpc();
    EXPECT_EQ(std::getenv("GRPC_POLL_STRATEGY"), nullptr) << strategy;
  }
  for (const char* const strategy : {"all", "epoll1", "poll"}) {
    const Variable variable("GRPC_POLL_STRATEGY", strategy);
    PrepareGrpc();
    EXPECT_STREQ(std::getenv("GRPC_POLL_STRATEGY"), strategy);
  }
}

TEST(RpcServerTest, APortInUseIsAnErrorThatNamesIt) {
  const auto first = RpcServer::Start("127.0.0.1:0", {});
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status status = RpcServer::Start((*first)->address(), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr((*first)->address() + ": the port is in use"));
}

TEST(RpcServerTest, AnAddressThatIsNoneIsRefusedByTheReason) {
  for (const char* const address : {"localhost", "127.0.0.1:99999", "unix:/tmp/x.sock"}) {
    const absl::Status status = RpcServer::Start(address, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr("is not host:port: "));
  }
}

TEST(RpcServerTest, ServesOnEveryKindOfAddress) {
  for (const char* const address : {"127.0.0.1:0", "localhost:0", "[::1]:0"}) {
    const auto server = RpcServer::Start(address, {});
    if (!server.ok() && std::string(address) == "[::1]:0") continue;  // this machine has no IPv6
    ASSERT_TRUE(server.ok()) << server.status();
    EXPECT_TRUE(CheckHealth(MakeChannel((*server)->address())).ok()) << address;
  }
}

TEST(RpcServerTest, ManySilentConnectionsKeepNobodyOutAndNoMember) {
  KnownPeers known;
  const auto server = RpcServer::Start("127.0.0.1:0", {}, {.known = &known});
  ASSERT_TRUE(server.ok()) << server.status();
  std::vector<FileDescriptor> silent;
  const Addresses there = Resolve("127.0.0.1", (*server)->port(), SOCK_STREAM);
  for (int i = 0; i < 200; ++i) {
    silent.emplace_back(::socket(there->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(silent.back().get(), there->ai_addr, there->ai_addrlen), 0);
  }
  EXPECT_TRUE(CheckHealth(MakeChannel((*server)->address())).ok());
}

TEST(ChannelTest, AProxyInTheEnvironmentIsNotAsked) {
  const auto server = RpcServer::Start("127.0.0.1:0", {});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto proxy = Listener::Open({"127.0.0.1", 0});
  ASSERT_TRUE(proxy.ok()) << proxy.status();
  for (const char* const name : {"http_proxy", "https_proxy", "grpc_proxy"}) {
    const Variable variable(name, "http://127.0.0.1:" + std::to_string(proxy->port()));
    EXPECT_TRUE(CheckHealth(MakeChannel((*server)->address())).ok()) << name;
    EXPECT_EQ(Listener::Accept(proxy->sockets().front()).outcome, Listener::Outcome::kNone) << name;
  }
}

TEST(ChannelTest, AProxyIsAskedWhereTheUserWantsThat) {
  const auto proxy = Listener::Open({"127.0.0.1", 0});
  ASSERT_TRUE(proxy.ok()) << proxy.status();
  const Variable variable("http_proxy", "http://127.0.0.1:" + std::to_string(proxy->port()));
  Security security;
  security.UseProxy();
  const auto channel = MakeChannel("127.0.0.1:1", security, CertifiedRole::kCoordinator);
  channel->GetState(/*try_to_connect=*/true);
  Listener::Accepted accepted{Listener::Outcome::kNone};
  while (accepted.outcome == Listener::Outcome::kNone) accepted = Listener::Accept(proxy->sockets().front());
  EXPECT_EQ(accepted.outcome, Listener::Outcome::kAccepted);
}

TEST(ChannelTest, WaitingForNobodyEndsWithASentenceThatNamesWhom) {
  const absl::Status status =
      AwaitConnected(MakeChannel("127.0.0.1:1").get(), "the coordinator at 127.0.0.1:1", absl::Milliseconds(50));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(
      std::string(status.message()),
      testing::AllOf(testing::StartsWith("waited 50ms for the coordinator at 127.0.0.1:1, which does not answer"),
                     testing::HasSubstr("Connection refused")));
}

}  // namespace
}  // namespace arcshard
