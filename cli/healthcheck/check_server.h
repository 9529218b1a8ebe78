#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/rpc/security/certified_role.h"
#include "common/rpc/security/security.h"

namespace arcshard::cli {

// Asks the server at host:port, which must have the role `role`, by grpc.health.v1 whether it serves. OK: it does.
// FailedPrecondition: it answers that it does not. Other errors tell why there was no answer within `timeout`;
// Unavailable: no connection.
absl::Status CheckServer(const std::string& address, CertifiedRole role, const Security& security,
                         absl::Duration timeout);

}  // namespace arcshard::cli
