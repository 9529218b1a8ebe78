#include "common/rpc/security/authorize.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/rpc/security/refusal_log.h"

namespace arcshard {
namespace {

std::vector<std::string> Properties(const grpc::AuthContext& peer, const char* name) {
  std::vector<std::string> values;
  for (const grpc::string_ref& value : peer.FindPropertyValues(name)) values.emplace_back(value.data(), value.size());
  return values;
}

absl::Status Check(const grpc::AuthContext& peer, absl::string_view rpc, absl::Span<const CertifiedRole> roles) {
  const std::vector<std::string> transport = Properties(peer, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
  if (transport == std::vector<std::string>{"insecure"}) return absl::OkStatus();
  ASSIGN_OR_RETURN(const CertifiedRole role, RoleOfUris(Properties(peer, GRPC_PEER_URI_PROPERTY_NAME)));
  if (absl::c_linear_search(roles, role)) return absl::OkStatus();
  const auto append_name = [](std::string* out, CertifiedRole one) { absl::StrAppend(out, NameOf(one)); };
  return absl::PermissionDeniedError(absl::StrCat(rpc, " is for the role ", absl::StrJoin(roles, " or ", append_name),
                                                  "; the certificate that was shown is a ", NameOf(role), "'s"));
}

}  // namespace

absl::Status Authorize(const grpc::ServerContextBase& context, absl::string_view rpc,
                       absl::Span<const CertifiedRole> roles) {
  const std::shared_ptr<const grpc::AuthContext> peer = context.auth_context();
  const absl::Status status = Check(*peer, rpc, roles);
  if (!status.ok()) {
    LogRefusal(
        absl::StrCat(context.peer(), " (CN '", absl::StrJoin(Properties(*peer, GRPC_X509_CN_PROPERTY_NAME), " "), "')"),
        status.message());
  }
  return status;
}

std::optional<CertifiedRole> RoleOfPeer(const grpc::ServerContextBase& context) {
  const absl::StatusOr<CertifiedRole> role =
      RoleOfUris(Properties(*context.auth_context(), GRPC_PEER_URI_PROPERTY_NAME));
  return role.ok() ? std::optional<CertifiedRole>(*role) : std::nullopt;
}

}  // namespace arcshard
