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

// Checks that the peer of this call has one of the roles. Every RPC of an adapter calls it first; refusals are logged
// with the peer's address and name. In plaintext peers cannot be distinguished and all calls are allowed; then only the
// rule of Security::CheckListen protects the run. PermissionDenied: the peer's certificate has another role.
// Unauthenticated: it has none.
//
// rpc: the name for messages, such as "Coordinator.Stop".
absl::Status Authorize(const grpc::ServerContextBase& context, absl::string_view rpc,
                       absl::Span<const CertifiedRole> roles);

// The role in the peer's certificate; nullopt: it has none, or the connection is in plaintext.
std::optional<CertifiedRole> RoleOfPeer(const grpc::ServerContextBase& context);

// A refused call: it ends with `status` at once. Reactor: the type that the RPC returns to gRPC.
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
