#include "common/rpc/endpoint.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/sync_stream.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "common/base/testing/open_resources.h"
#include "common/net/listener.h"
#include "common/net/resolve.h"
#include "common/rpc/deadline.h"
#include "common/rpc/testing/silent_connection.h"
#include "common/rpc/testing/unfinished_calls.h"
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
  context.set_deadline(DeadlineIn(absl::Minutes(10)));
  context.set_wait_for_ready(true);
  grpc::health::v1::HealthCheckResponse response;
  return grpc::health::v1::Health::NewStub(channel)->Check(&context, grpc::health::v1::HealthCheckRequest(), &response);
}

TEST(DeadlineTest, IsATimeThatNoDateMoves) {
  for (const absl::Duration timeout : {absl::Seconds(2), absl::Hours(2)}) {
    const gpr_timespec wait = gpr_time_from_seconds(absl::ToInt64Seconds(timeout), GPR_TIMESPAN);
    const gpr_timespec earliest = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), wait);
    const gpr_timespec deadline = DeadlineIn(timeout);
    const gpr_timespec latest = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), wait);
    ASSERT_EQ(deadline.clock_type, GPR_CLOCK_MONOTONIC);
    EXPECT_GE(gpr_time_cmp(deadline, earliest), 0);
    EXPECT_LE(gpr_time_cmp(deadline, latest), 0);
  }
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
  for (int i = 0; i < 100; ++i) {
    silent.emplace_back(::socket(there->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(silent.back().get(), there->ai_addr, there->ai_addrlen), 0);
  }
  EXPECT_TRUE(CheckHealth(MakeChannel((*server)->address())).ok());
}

// --- What a connection may take

constexpr char kCheck[] = "/grpc.health.v1.Health/Check";

// A call of Health.Watch, which the server answers at once and then keeps open.
class HealthWatch {
 public:
  explicit HealthWatch(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(grpc::health::v1::Health::NewStub(channel)) {
    context_.set_deadline(DeadlineIn(absl::Minutes(10)));
    stream_ = stub_->Watch(&context_, grpc::health::v1::HealthCheckRequest());
  }
  ~HealthWatch() { context_.TryCancel(); }
  // Waits for the answer.
  bool Answered() {
    grpc::health::v1::HealthCheckResponse response;
    return stream_->Read(&response);
  }

 private:
  const std::unique_ptr<grpc::health::v1::Health::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<grpc::health::v1::HealthCheckResponse>> stream_;
};

std::shared_ptr<grpc::Channel> ChannelOfItsOwn(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

std::vector<std::unique_ptr<UnfinishedCalls>> Begin(const RpcServer& server, int connections,
                                                    const UnfinishedCall& call) {
  std::vector<std::unique_ptr<UnfinishedCalls>> all;
  for (int i = 0; i < connections; ++i) {
    all.push_back(std::make_unique<UnfinishedCalls>(server.port(), call, /*wanted=*/kMostStreams));
  }
  return all;
}

// Waits until the server has ended one of the calls, or a connection.
bool AwaitARefusal(const std::vector<std::unique_ptr<UnfinishedCalls>>& calls) {
  return UnfinishedCalls::Await(calls, [](const auto& all) {
    return std::any_of(all.begin(), all.end(), [](const auto& one) { return one->refused() > 0 || one->ended(); });
  });
}

TEST(RpcServerTest, AStreamMoreThanAConnectionMayHaveWaitsUntilOneHasEnded) {
  const auto server = RpcServer::Start("127.0.0.1:0", {});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto channel = ChannelOfItsOwn((*server)->address()), other = ChannelOfItsOwn((*server)->address());
  std::vector<std::unique_ptr<HealthWatch>> streams;
  for (int i = 0; i < kMostStreams; ++i) {
    streams.push_back(std::make_unique<HealthWatch>(channel));
    ASSERT_TRUE(streams.back()->Answered());
  }
  std::atomic<bool> answered = false;
  std::thread one_more([&] {
    HealthWatch stream(channel);
    EXPECT_TRUE(stream.Answered());
    answered = true;
  });
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(CheckHealth(other).ok());  // the server has had time for it
  EXPECT_FALSE(answered);
  streams.pop_back();
  one_more.join();
  EXPECT_TRUE(answered);
}

TEST(RpcServerTest, AConnectionIsToldHowManyStreamsItMayHaveAndHowMuchItMaySendUnasked) {
  const auto server = RpcServer::Start("127.0.0.1:0", {});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto calls = Begin(**server, 1, {.path = kCheck, .announced = 1'000'000, .sent = 999'000});
  EXPECT_TRUE(UnfinishedCalls::AwaitDone(calls));
  EXPECT_EQ(calls.front()->most_streams(), static_cast<uint32_t>(kMostStreams));
  EXPECT_EQ(calls.front()->window(), kLookaheadBytes);
  EXPECT_EQ(calls.front()->refused(), 0);
}

TEST(RpcServerTest, MessagesThatAreNotCompletedEndForWantOfMemoryBeforeTheProcessDoes) {
  const auto server = RpcServer::Start("127.0.0.1:0", {}, {.memory_bytes = 2 << 20});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto calls = Begin(**server, 4, {.path = kCheck, .announced = 1'000'000, .sent = 999'000});
  EXPECT_TRUE(AwaitARefusal(calls));
}

TEST(RpcServerTest, ReflectionTakesNoMoreThanAFewThreads) {
  const auto server = RpcServer::Start("127.0.0.1:0", {});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto calls = Begin(
      **server, 5,
      {.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", .announced = 1'000, .sent = 100});
  EXPECT_TRUE(AwaitARefusal(calls));
  EXPECT_TRUE(CheckHealth(ChannelOfItsOwn((*server)->address())).ok());
}

TEST(RpcServerTest, AConnectionThatSaysNothingIsEndedOnceItsHandshakeHasHadItsTime) {
  const auto server = RpcServer::Start("127.0.0.1:0", {}, {.handshake_limit = absl::Milliseconds(100)});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(EndsASilentConnection((*server)->port()));
}

// --- Channels

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
  const auto channel = MakeChannel("127.0.0.1:1");
  absl::Status status;
  // On a busy machine gRPC may not know the reason in time, and the sentence is without it then.
  for (int tries = 0; tries < 100 && !absl::StrContains(status.message(), "Connection refused"); ++tries) {
    status = AwaitConnected(channel.get(), "the coordinator at 127.0.0.1:1", absl::Milliseconds(50));
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(
      std::string(status.message()),
      testing::AllOf(testing::StartsWith("waited 50ms for the coordinator at 127.0.0.1:1, which does not answer"),
                     testing::HasSubstr("Connection refused")));
}

TEST(ChannelTest, AWaitEndsOnceItsCheckFails) {
  const auto channel = MakeChannel("127.0.0.1:1");
  int asked = 0;
  const auto check = [&asked] { return ++asked < 3 ? absl::OkStatus() : absl::CancelledError("no longer needed"); };
  EXPECT_EQ(AwaitConnected(channel.get(), "the coordinator", absl::InfiniteDuration(), check),
            absl::CancelledError("no longer needed"));
  EXPECT_EQ(asked, 3);
}

TEST(ChannelTest, EachHasAConnectionOfItsOwn) {
  const auto server = RpcServer::Start("127.0.0.1:0", {});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto channel = MakeChannel((*server)->address()), other = MakeChannel((*server)->address());
  std::vector<std::unique_ptr<HealthWatch>> streams;
  for (int i = 0; i < kMostStreams; ++i) {  // the connection takes no more
    streams.push_back(std::make_unique<HealthWatch>(channel));
    ASSERT_TRUE(streams.back()->Answered());
  }
  EXPECT_TRUE(CheckHealth(other).ok());
}

TEST(ChannelTest, ADestroyedChannelLeavesNeitherAConnectionNorThreadsBehind) {
  const auto server = RpcServer::Start("127.0.0.1:0", {});
  ASSERT_TRUE(server.ok()) << server.status();
  OpenResources before;
  for (int i = 0; i < 100; ++i) {
    if (i == 10) before = OpenResources::Now();
    EXPECT_TRUE(CheckHealth(MakeChannel((*server)->address())).ok());
  }
  EXPECT_TRUE(LevelsOff(before, 20)) << OpenResources::Now() << ", after ten channels " << before;
}

// A call that has its channel, and is destroyed by the thread of gRPC that tells of its end.
struct OwningCall {
  std::unique_ptr<grpc::health::v1::Health::Stub> stub;
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  grpc::health::v1::HealthCheckResponse response;
};

TEST(ChannelTest, OneOfGrpcsThreadsMayDestroyTheLastOne) {
  for (int i = 0; i < 20; ++i) {
    std::promise<void> ended;
    auto* const call = new OwningCall{grpc::health::v1::Health::NewStub(MakeChannel("127.0.0.1:1")), {}, {}, {}};
    call->stub->async()->Check(&call->context, &call->request, &call->response,
                               [call, &ended](const grpc::Status& status) {
                                 EXPECT_FALSE(status.ok());
                                 delete call;
                                 ended.set_value();
                               });
    ended.get_future().wait();
  }
}

}  // namespace
}  // namespace arcshard
