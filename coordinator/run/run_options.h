#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/base/token.h"
#include "common/config/run_config.h"
#include "coordinator/policy/device_leases.h"
#include "coordinator/policy/resume.h"

namespace arcshard::coordinator {

// What a Run is given.
struct RunOptions {
  RunConfig config;
  std::string config_yaml;  // the same, as participants get it
  uint64_t incarnation = 0;
  // The first incarnation of this run: what members hold of earlier ones is of another run in the same folder.
  uint64_t first_incarnation = 1;
  std::optional<ResumePoint> resume = std::nullopt;  // the newest complete checkpoint; none: there is none yet
  bool takes_checkpoints = false;                    // true: the owner delivers CompleteCheckpoint
  std::string version = {};                          // of arcshard, for manifests
  // How long members may take to finish after next = STOP. The time starts again while a checkpoint is in progress:
  // that takes as long as the disk needs, and a member that dies meanwhile is noticed by its silence.
  absl::Duration stop_timeout = absl::Minutes(10);
  // A participant that reports a lost peer often knows before the peer's own stream breaks here. The report waits this
  // long for the death, which explains better what happened.
  absl::Duration blame_grace = absl::Milliseconds(500);
  // A shard whose stream broke may live, and register again at once with what it holds: the link broke, or this process
  // was stopped for a while. Its place is kept for it for so long.
  absl::Duration seat_grace = absl::Milliseconds(500);
  std::function<std::string()> new_token = NewToken;  // a secret for each participant
  LeaseHistory lease_history = {};                    // of the run's earlier lives
};

}  // namespace arcshard::coordinator
