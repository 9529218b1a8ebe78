#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace arcshard {

// What a process may do, as its certificate says: one URI among its subject's alternative names,
// urn:arcshard:role:{coordinator|shard|worker|client}. A client asks (status, health checks) and may stop a run.
enum class CertifiedRole { kCoordinator, kShard, kWorker, kClient };

inline constexpr CertifiedRole kAllCertifiedRoles[] = {CertifiedRole::kCoordinator, CertifiedRole::kShard,
                                                       CertifiedRole::kWorker, CertifiedRole::kClient};

absl::string_view NameOf(CertifiedRole role);  // "shard"
std::string UriOf(CertifiedRole role);         // "urn:arcshard:role:shard"

// The role among a certificate's URIs. Unauthenticated: none of them names one, one names an unknown one, or several
// do.
absl::StatusOr<CertifiedRole> RoleOfUris(const std::vector<std::string>& uris);

}  // namespace arcshard
