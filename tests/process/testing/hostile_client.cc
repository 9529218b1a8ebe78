#include "tests/process/testing/hostile_client.h"

#include <grpcpp/client_context.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/net/resolve.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/status.h"

namespace arcshard {
namespace {

constexpr absl::Duration kCallLimit = absl::Minutes(10);  // far more than any call takes

FileDescriptor Connect(int port) {
  const Addresses there = Resolve("127.0.0.1", port, SOCK_STREAM);
  FileDescriptor socket(::socket(there->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(socket.get(), there->ai_addr, there->ai_addrlen) != 0) return FileDescriptor();
  return socket;
}

}  // namespace

std::vector<FileDescriptor> HoldConnections(int port, int count, const std::string& greeting) {
  std::vector<FileDescriptor> held;
  for (int i = 0; i < count; ++i) {
    FileDescriptor connection = Connect(port);
    if (!connection.valid()) continue;
    if (!greeting.empty()) send(connection.get(), greeting.data(), greeting.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    held.push_back(std::move(connection));
  }
  return held;
}

bool MetricsAnswer(int port) {
  const FileDescriptor connection = Connect(port);
  if (!connection.valid()) return false;
  const timeval limit = absl::ToTimeval(kCallLimit);
  setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  const std::string request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
  send(connection.get(), request.data(), request.size(), MSG_NOSIGNAL);
  std::string answer;
  char buffer[4096];
  for (ssize_t got; (got = recv(connection.get(), buffer, sizeof(buffer), 0)) > 0;) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  return absl::StartsWith(answer, "HTTP/1.1 200 ") && absl::StrContains(answer, "arcshard_build_info");
}

struct FakeParticipant::Call {
  grpc::ClientContext context;
  std::unique_ptr<v1::Coordinator::Stub> stub;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ParticipantMessage, v1::CoordinatorMessage>> stream;
};

FakeParticipant::FakeParticipant(const std::string& coordinator, const Security& security)
    : call_(std::make_unique<Call>()) {
  call_->stub = v1::Coordinator::NewStub(MakeChannel(coordinator, security, CertifiedRole::kCoordinator));
  call_->context.set_deadline(absl::ToChronoTime(absl::Now() + kCallLimit));
  call_->context.set_wait_for_ready(true);
  call_->stream = call_->stub->Attend(&call_->context);
}

FakeParticipant::~FakeParticipant() { call_->context.TryCancel(); }

void FakeParticipant::Send(const v1::ParticipantMessage& message) { call_->stream->Write(message); }

v1::ParticipantMessage FakeParticipant::Registration(v1::Role role) {
  v1::ParticipantMessage message;
  message.mutable_register_()->set_role(role);
  message.mutable_register_()->set_address("127.0.0.1:1");
  message.mutable_register_()->set_host("fake\x1b[31m");
  message.mutable_register_()->set_pid(1);
  message.mutable_register_()->set_capacity_bytes(uint64_t{1} << 30);
  return message;
}

bool FakeParticipant::Welcomed() {
  v1::CoordinatorMessage message;
  return call_->stream->Read(&message) && message.has_welcome();
}

absl::Status FakeParticipant::End() {
  v1::CoordinatorMessage message;
  while (call_->stream->Read(&message)) {
  }
  return FromGrpcStatus(call_->stream->Finish());
}

absl::Status SayHello(const std::string& shard, const Security& security, size_t token_bytes) {
  const auto stub = v1::Shard::NewStub(MakeChannel(shard, security, CertifiedRole::kShard));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kCallLimit));
  context.set_wait_for_ready(true);
  const auto stream = stub->Exchange(&context);
  v1::WorkerMessage hello;
  hello.mutable_key()->mutable_view()->set_incarnation(1);
  hello.mutable_key()->mutable_view()->set_counter(1);
  hello.mutable_hello()->set_worker(0);
  hello.mutable_hello()->set_token(std::string(token_bytes, 'x'));
  stream->Write(hello);
  v1::ShardMessage answer;
  while (stream->Read(&answer)) {
  }
  return FromGrpcStatus(stream->Finish());
}

uint64_t PeakMemory(pid_t pid) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(status, line);) {
    uint64_t kilobytes = 0;
    if (absl::StartsWith(line, "VmHWM:") && std::istringstream(line.substr(6)) >> kilobytes) return kilobytes << 10;
  }
  return 0;
}

}  // namespace arcshard
