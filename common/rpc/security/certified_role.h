#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace arcshard {

// The role of a process, which determines what it may do. Its certificate contains it as a URI among the subject's
// alternative names: urn:arcshard:role:{coordinator|shard|worker|client}. A client may query the status and health, and
// stop a run.
enum class CertifiedRole { kCoordinator, kShard, kWorker, kClient };

inline constexpr CertifiedRole kAllCertifiedRoles[] = {CertifiedRole::kCoordinator, CertifiedRole::kShard,
                                                       CertifiedRole::kWorker, CertifiedRole::kClient};

absl::string_view NameOf(CertifiedRole role);  // "shard"
std::string UriOf(CertifiedRole role);         // "urn:arcshard:role:shard"

// The role among a certificate's URIs. Unauthenticated: no URI names a role, one names an unknown role, or several name
// roles.
absl::StatusOr<CertifiedRole> RoleOfUris(const std::vector<std::string>& uris);

}  // namespace arcshard
