#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/rpc/security/certified_role.h"
#include "common/rpc/security/security.h"

namespace arcshard {

// Asks the server at host:port, which must have the role `role`, by grpc.health.v1 whether it serves. OK: it does.
// FailedPrecondition: it answers that it does not. Other errors tell why there was no answer within `timeout`;
// Unavailable: no connection.
absl::Status CheckHealth(const std::string& address, CertifiedRole role, const Security& security,
                         absl::Duration timeout);

// Runs `PROGRAM healthcheck [--address host:port] [--timeout 5s] [--tls-...]`, for containers. nullopt: the first
// argument is not `healthcheck`. Otherwise the exit code with which the program must end: 0 it serves, 1 it does not
// (the reason is logged), 2 wrong usage.
//
// role: the program's own, since it asks about itself; its certificate may have any role.
std::optional<int> HealthcheckCommand(CertifiedRole role, const std::string& default_address, int argc, char** argv);

}  // namespace arcshard
