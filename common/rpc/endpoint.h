#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/rpc/admission/doorkeeper.h"
#include "common/rpc/admission/known_peers.h"
#include "common/rpc/security/certified_role.h"
#include "common/rpc/security/security.h"

namespace arcshard {

// The largest gRPC message, for clients and for servers that do not accept more: a piece of a tensor (tensor_codec.h)
// and the fields beside it.
inline constexpr int kMaxMessageBytes = (1 << 20) + (64 << 10);

// Streams of a connection to a server at once; one more waits. Of ours none needs more than two: a participant's stream
// and a question whether its server is there, or the stream of a command that watches a run and a call beside it.
inline constexpr int kMostStreams = 4;

// Bytes that a server takes on a stream before it has read what came before.
inline constexpr int kLookaheadBytes = 256 << 10;

// Keeps gRPC's own log off stderr, unless GRPC_VERBOSITY is set: its failures are returned as a status, so a user gets
// one sentence. And takes a GRPC_POLL_STRATEGY that gRPC does not know, for which it would abort the process, out of
// the environment. Call it first in main, while there is one thread.
void PrepareGrpc();

// A gRPC server with health checking (grpc.health.v1) and reflection. What strangers can take from its process is
// bounded: connections (Doorkeeper), the time for a handshake, the streams of a connection, the bytes of a stream, and
// the memory of all messages together. gRPC keeps a message that is not complete, of whatever call, before any code of
// ours runs; so each stranger may make it keep kMostStreams·(max_message_bytes + kLookaheadBytes), and all of them,
// which are 32, 168 MiB in a shard and 64 MiB in a coordinator, whose messages have 256 KiB at most. A coordinator
// without TLS has up to 64 callers of Watch besides, who may make it keep 128 MiB more. A client that never
// acknowledges the server's settings is not held to kMostStreams by gRPC 1.51; only memory_bytes bounds what it can do.
class RpcServer {
 public:
  struct Options {
    Security security = {};
    int max_message_bytes = kMaxMessageBytes;            // a call with a larger message ends with ResourceExhausted
    KnownPeers* known = nullptr;                         // outlives the server; null: no connection is a stranger's
    absl::Duration handshake_limit = absl::Seconds(10);  // until TLS's handshake is complete and HTTP/2 has begun
    // Of all messages together. Beyond it gRPC ends streams, whosever they are, so it is far above what members need.
    // 0: half of the memory that this process may use.
    int64_t memory_bytes = 0;
  };
  // listen: host:port; with port 0 the system chooses one. The services must outlive the server.
  // InvalidArgument: `listen` is not host:port. FailedPrecondition: `security` does not allow it
  // (Security::CheckListen). Unavailable: the address is in use or not of this host. Messages name the address.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const std::string& listen,
                                                          const std::vector<grpc::Service*>& services,
                                                          const Options& options);
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const std::string& listen,
                                                          const std::vector<grpc::Service*>& services) {
    return Start(listen, services, Options());
  }
  ~RpcServer();

  int port() const { return port_; }
  // The host of `listen` with the actual port.
  const std::string& address() const { return address_; }

  // Lets calls end by themselves until `grace` has passed, then cancels the others. Idempotent.
  void Shutdown(absl::Duration grace);

 private:
  RpcServer() = default;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;  // gRPC's side of the doorkeeper
  std::unique_ptr<Doorkeeper> doorkeeper_;
  int port_ = 0;
  std::string address_;
};

// A channel to the process with the role `peer` at host:port. It detects within seconds that the other host is gone,
// looks its name up again after a second, and asks no proxy, whatever the environment names, unless `security` says so
// (Security::UseProxy). Each channel has a connection of its own, which ends with the channel. It may be destroyed by
// any thread, also by one of gRPC's.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const Security& security, CertifiedRole peer);
// The same in plaintext.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);

// Waits until the channel is connected, and logs from time to time why it is not. Unavailable: it was not connected
// within `timeout`: "waited 60s for the coordinator at host:port, which does not answer (...)".
// check: asked several times a second whether to go on; a status that is not OK ends the wait and is returned.
absl::Status AwaitConnected(grpc::Channel* channel, absl::string_view whom, absl::Duration timeout,
                            const std::function<absl::Status()>& check = nullptr);

}  // namespace arcshard
