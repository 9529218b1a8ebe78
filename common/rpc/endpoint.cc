#include "common/rpc/endpoint.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"
#include "common/rpc/deadline.h"
#include "common/rpc/host_address.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace arcshard {
namespace {

constexpr absl::Duration kLogEvery = absl::Seconds(5);  // while AwaitConnected waits
constexpr absl::Duration kProbeTimeout = absl::Milliseconds(500);

// gRPC 1.51 stops its callback threads with the last channel or server, and crashes if one of those threads drops it,
// which can happen at the end of a stream. So channels are never destroyed: a process makes only one for each peer.
void KeepForever(const std::shared_ptr<grpc::Channel>& channel) {
  static Mutex* const mutex = new Mutex;
  static auto* const channels = new std::vector<std::shared_ptr<grpc::Channel>>;
  MutexLock lock(mutex);
  channels->push_back(channel);
}

// Why a channel is not connected, in gRPC's words; empty if it is. gRPC tells the reason only to calls, so this makes
// one.
std::string WhyNotConnected(grpc::Channel* channel) {
  const std::shared_ptr<grpc::Channel> borrowed(channel, [](grpc::Channel*) {});
  grpc::ClientContext context;
  context.set_deadline(DeadlineIn(kProbeTimeout));
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status =
      grpc::health::v1::Health::NewStub(borrowed)->Check(&context, grpc::health::v1::HealthCheckRequest(), &response);
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return "";
  constexpr absl::string_view kLastError = "last error: ";
  const std::string message = status.error_message();
  const size_t last = message.rfind(kLastError.data());
  return last == std::string::npos ? message : message.substr(last + kLastError.size());
}

}  // namespace

void QuietGrpc() { setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0); }

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const std::string& listen,
                                                            const std::vector<grpc::Service*>& services,
                                                            const Security& security, int max_message_bytes) {
  const absl::StatusOr<std::string> host = HostOf(listen);
  if (!host.ok()) return Annotate(host.status(), "cannot listen");
  RETURN_IF_ERROR(security.CheckListen(*host, listen));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto server = std::unique_ptr<RpcServer>(new RpcServer());
  grpc::ServerBuilder builder;
  builder.AddListeningPort(listen, security.ForServer(), &server->port_);
  builder.SetMaxReceiveMessageSize(max_message_bytes);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a port in use is an error, not a second listener
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  for (grpc::Service* service : services) builder.RegisterService(service);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || server->port_ == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", listen, ": the port is in use, or the address is not of this host"));
  }
  server->address_ = JoinHostPort(*host, server->port_);
  return server;
}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

void RpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  server_->Shutdown(DeadlineIn(grace));
  server_->Wait();
  server_.reset();
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const Security& security, CertifiedRole peer) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 5000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  std::shared_ptr<grpc::Channel> channel = grpc::CreateCustomChannel(address, security.ForChannelTo(peer), arguments);
  KeepForever(channel);
  return channel;
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  return MakeChannel(address, Security(), CertifiedRole::kCoordinator);
}

absl::Status AwaitConnected(grpc::Channel* channel, absl::string_view whom, absl::Duration timeout) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + timeout;
  std::string reason;
  while (!channel->WaitForConnected(DeadlineIn(std::min(deadline - clock.Now(), kLogEvery)))) {
    const std::string before = std::exchange(reason, WhyNotConnected(channel));
    if (clock.Now() >= deadline) {
      return absl::UnavailableError(absl::StrCat("waited ", absl::FormatDuration(timeout), " for ", whom,
                                                 ", which does not answer",
                                                 reason.empty() ? "" : absl::StrCat(" (", reason, ")")));
    }
    if (!reason.empty() && reason != before) LogInfo(absl::StrCat("still waiting for ", whom, ": ", reason));
  }
  return absl::OkStatus();
}

}  // namespace arcshard
