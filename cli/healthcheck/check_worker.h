#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace arcshard::cli {

// Checks that a worker answers at host:port, its metrics port, the only one that it serves. FailedPrecondition: another
// server does. Other errors tell why there was no answer within `timeout`. The DNS, if it is asked, may take longer.
absl::Status CheckWorker(const std::string& address, absl::Duration timeout);

}  // namespace arcshard::cli
