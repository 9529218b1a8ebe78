#include "common/rpc/security/certified_role.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace arcshard {
namespace {

constexpr absl::string_view kPrefix = "urn:arcshard:role:";

std::optional<CertifiedRole> Find(absl::string_view name) {
  for (const CertifiedRole role : kAllCertifiedRoles) {
    if (NameOf(role) == name) return role;
  }
  return std::nullopt;
}

}  // namespace

absl::string_view NameOf(CertifiedRole role) {
  switch (role) {
    case CertifiedRole::kCoordinator:
      return "coordinator";
    case CertifiedRole::kShard:
      return "shard";
    case CertifiedRole::kWorker:
      return "worker";
    case CertifiedRole::kClient:
      return "client";
  }
  return "unknown";
}

std::string UriOf(CertifiedRole role) { return absl::StrCat(kPrefix, NameOf(role)); }

absl::StatusOr<CertifiedRole> RoleOfUris(const std::vector<std::string>& uris) {
  std::optional<CertifiedRole> role;
  for (const std::string& uri : uris) {
    if (!absl::StartsWith(uri, kPrefix)) continue;
    if (role.has_value()) return absl::UnauthenticatedError("the certificate names several roles of arcshard");
    role = Find(absl::string_view(uri).substr(kPrefix.size()));
    if (!role.has_value()) {
      return absl::UnauthenticatedError(
          absl::StrCat("the certificate names a role that arcshard does not have, ", uri));
    }
  }
  if (role.has_value()) return *role;
  return absl::UnauthenticatedError(
      absl::StrCat("the certificate names no role of arcshard (a URI ", kPrefix, "... among its alternative names)"));
}

}  // namespace arcshard
