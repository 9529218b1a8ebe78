#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/rpc/security/certified_role.h"
#include "common/rpc/security/security.h"

namespace arcshard {

// Asks grpc.health.v1 of the server at host:port, which has to be `role`. OK: it serves. FailedPrecondition: it answers
// that it does not. Else: why there was no answer within `timeout`.
absl::Status CheckHealth(const std::string& address, CertifiedRole role, const Security& security,
                         absl::Duration timeout);

// `PROGRAM healthcheck [--address host:port] [--timeout 5s] [--tls-...]`, for containers. A number: the first argument
// was healthcheck, and the program ends with it: 0 serving, 1 not (in one sentence), 2 wrong usage. nullopt: it was
// not.
//
// role: of the program that asks about itself, with its own certificate or any other.
std::optional<int> HealthcheckCommand(CertifiedRole role, const std::string& default_address, int argc, char** argv);

}  // namespace arcshard
