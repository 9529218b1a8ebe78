#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/security/security.h"

namespace arcshard::cli {

struct TakenCheckpoint {
  uint64_t step = 0;
  std::string folder;  // as the coordinator sees it
};

// Asks the coordinator at host:port for a checkpoint after the step in progress and returns once it is complete.
// Unavailable: the coordinator does not answer within a few seconds. FailedPrecondition: the run is not training.
// Aborted: the run ended before the checkpoint was complete. Other errors say why the checkpoint failed.
absl::StatusOr<TakenCheckpoint> TakeCheckpoint(const std::string& address, const Security& security);

}  // namespace arcshard::cli
