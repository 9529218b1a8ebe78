#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/rpc/security/certified_role.h"
#include "common/rpc/security/security.h"

namespace arcshard {

// The limit of a gRPC message on both sides, unless a server takes more: a piece of a tensor (tensor_codec.h) with what
// travels beside it.
inline constexpr int kMaxMessageBytes = (1 << 20) + (64 << 10);

// Keeps gRPC's own lines off stderr (unless GRPC_VERBOSITY is set): what goes wrong there comes back as a status, and a
// user gets one sentence. Call first thing in main.
void QuietGrpc();

// A gRPC server with health checking (grpc.health.v1) and reflection.
class RpcServer {
 public:
  // listen: host:port; port 0 lets the system choose. The services must outlive the server. A call with a message above
  // `max_message_bytes` ends with ResourceExhausted.
  // FailedPrecondition: `security` does not allow it, see Security::CheckListen. Unavailable: the address cannot be
  // listened on (in use, not of this host); the message names it.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const std::string& listen,
                                                          const std::vector<grpc::Service*>& services,
                                                          const Security& security = Security(),
                                                          int max_message_bytes = kMaxMessageBytes);
  ~RpcServer();

  int port() const { return port_; }
  // host:port as others reach it: the host of `listen` with the port that was chosen.
  const std::string& address() const { return address_; }

  // Ends all calls: in order until `grace` has passed, then by cancelling them. Idempotent.
  void Shutdown(absl::Duration grace);

 private:
  RpcServer() = default;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::string address_;
};

// A channel to host:port, where `peer` has to be, that notices within seconds when the other host has vanished.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const Security& security, CertifiedRole peer);
// In plaintext.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);

// Waits until the channel is connected, and logs now and then what it waits for. Unavailable: not within `timeout`;
// "waited 60s for the coordinator at host:port, which does not answer (...)".
absl::Status AwaitConnected(grpc::Channel* channel, absl::string_view whom, absl::Duration timeout);

}  // namespace arcshard
