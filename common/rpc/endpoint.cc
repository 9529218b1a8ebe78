#include "common/rpc/endpoint.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/io/log.h"
#include "common/net/host_port.h"
#include "common/net/listener.h"
#include "common/rpc/deadline.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace arcshard {
namespace {

constexpr absl::Duration kLogEvery = absl::Seconds(5);  // while AwaitConnected waits
constexpr absl::Duration kCheckEvery = absl::Milliseconds(100);
constexpr absl::Duration kProbeTimeout = absl::Milliseconds(500);
constexpr int kReflectionThreads = 8;

// gRPC 1.51 stops its callback threads with the last channel or server that has used them, and crashes if one of those
// threads drops it, which can happen at the end of a stream. So one channel uses them for ever: one on which every call
// fails at once, and that connects to nothing.
void KeepCallbackThreads() {
  struct Call {
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckRequest request;
    grpc::health::v1::HealthCheckResponse response;
  };
  static auto* const channel = new std::shared_ptr<grpc::Channel>([] {
    std::shared_ptr<grpc::Channel> made = grpc::CreateCustomChannel("", nullptr, grpc::ChannelArguments());
    auto* const call = new Call;
    grpc::health::v1::Health::NewStub(made)->async()->Check(&call->context, &call->request, &call->response,
                                                            [call](const grpc::Status&) { delete call; });
    return made;
  }());
  static_cast<void>(channel);
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

void LimitStrangers(const RpcServer::Options& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(options.max_message_bytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostStreams);
  // Instead of a window that gRPC chooses, which is 4 MiB at first.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookaheadBytes);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                              static_cast<int>(absl::ToInt64Milliseconds(options.handshake_limit)));
  // The last resort against the process being killed for its memory.
  grpc::ResourceQuota quota("arcshard");
  quota.Resize(static_cast<size_t>(options.memory_bytes > 0 ? options.memory_bytes : UsableMemoryBytes() / 2));
  // Of our services only reflection's streams take a thread each; one more is refused.
  quota.SetMaxThreads(kReflectionThreads);
  builder->SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder->SetResourceQuota(quota);
}

}  // namespace

void PrepareGrpc() {
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  // Debian's Abseil is built with asserts, and would look for deadlocks at each of gRPC's locks.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const char* const strategy = std::getenv("GRPC_POLL_STRATEGY");
  if (strategy == nullptr) return;
  for (const absl::string_view known : {"all", "epoll1", "poll"}) {
    if (strategy == known) return;
  }
  unsetenv("GRPC_POLL_STRATEGY");
}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const std::string& listen,
                                                            const std::vector<grpc::Service*>& services,
                                                            const Options& options) {
  const absl::StatusOr<HostPort> address = ParseHostPort(listen);
  if (!address.ok()) return Annotate(address.status(), "cannot listen");
  RETURN_IF_ERROR(options.security.CheckListen(address->host, listen));
  ASSIGN_OR_RETURN(Listener listener, Listener::Open(*address));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto server = std::unique_ptr<RpcServer>(new RpcServer());
  grpc::ServerBuilder builder;
  LimitStrangers(options, &builder);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  for (grpc::Service* service : services) builder.RegisterService(service);
  server->acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, options.security.ForServer());
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) return absl::UnavailableError(absl::StrCat("cannot start the server on ", listen));
  server->port_ = listener.port();
  server->address_ = JoinHostPort(address->host, server->port_);
  const auto admit = [acceptor = server->acceptor_.get()](FileDescriptor connection, int door) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.listener_fd = door;
    parameters.fd = connection.Release();
    acceptor->HandleNewConnection(&parameters);
  };
  ASSIGN_OR_RETURN(server->doorkeeper_,
                   Doorkeeper::Create(std::move(listener), Doorkeeper::Options{.known = options.known}, admit));
  return server;
}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

void RpcServer::Shutdown(absl::Duration grace) {
  doorkeeper_.reset();  // before the server, which must get no connection while it ends
  if (server_ == nullptr) return;
  server_->Shutdown(DeadlineIn(grace));
  server_->Wait();
  server_.reset();
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const Security& security, CertifiedRole peer) {
  KeepCallbackThreads();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, security.uses_proxy() ? 1 : 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 5000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // Else gRPC gives two channels to one address the same connection, and a stream that replaces a silent one would be
  // as silent.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // By default it looks a name up again after 30 s, and a process that restarts may have another address by then.
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
  return grpc::CreateCustomChannel(address, security.ForChannelTo(peer), arguments);
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  return MakeChannel(address, Security(), CertifiedRole::kCoordinator);
}

absl::Status AwaitConnected(grpc::Channel* channel, absl::string_view whom, absl::Duration timeout,
                            const std::function<absl::Status()>& check) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + timeout;
  MonotonicTime look = std::min(deadline, clock.Now() + kLogEvery);
  std::string reason;
  while (!channel->WaitForConnected(DeadlineIn(std::min(look - clock.Now(), check ? kCheckEvery : kLogEvery)))) {
    if (check) RETURN_IF_ERROR(check());
    if (clock.Now() < look) continue;
    const std::string before = std::exchange(reason, WhyNotConnected(channel));
    if (clock.Now() >= deadline) {
      return absl::UnavailableError(absl::StrCat("waited ", absl::FormatDuration(timeout), " for ", whom,
                                                 ", which does not answer",
                                                 reason.empty() ? "" : absl::StrCat(" (", reason, ")")));
    }
    if (!reason.empty() && reason != before) LogInfo(absl::StrCat("still waiting for ", whom, ": ", reason));
    look = std::min(deadline, clock.Now() + kLogEvery);
  }
  return absl::OkStatus();
}

}  // namespace arcshard
