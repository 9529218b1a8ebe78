#pragma once

#include <grpcpp/support/status.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/rpc/security/certified_role.h"
#include "common/rpc/status.h"

namespace grpc {
class ServerContextBase;
}

namespace arcshard {

// Whether the peer of this call is one of those roles. Called first by every RPC of an adapter; what is refused is
// logged with the peer's address and name. In plaintext nobody can be told apart and all may do all: the rule of
// Security::CheckListen is what protects then. PermissionDenied: the peer's certificate is of another role.
// Unauthenticated: it names none.
//
// rpc: "Coordinator.Stop", for the message.
absl::Status Authorize(const grpc::ServerContextBase& context, absl::string_view rpc,
                       absl::Span<const CertifiedRole> roles);

// The role that the peer's certificate names; nullopt: none, as in plaintext.
std::optional<CertifiedRole> RoleOfPeer(const grpc::ServerContextBase& context);

// A call that is refused: ends with `status` at once. Reactor: what gRPC wants back from the call.
//
//   if (absl::Status status = Authorize(...); !status.ok()) return new RefusedCall<grpc::ServerBidiReactor<A,
//   B>>(status);
template <typename Reactor>
class RefusedCall final : public Reactor {
 public:
  explicit RefusedCall(const absl::Status& status) { this->Finish(ToGrpcStatus(status)); }
  void OnDone() override { delete this; }
};

}  // namespace arcshard
