#pragma once

#include <algorithm>

#include "absl/time/time.h"
#include "common/config/run_config.h"
#include "common/protocol/messages.h"

namespace arcshard::worker {

// How long a worker tries to connect to each other member of `view`. At the start of a run, or when it resumes, no
// worker holds the state, and names and routes may take a while to be known everywhere. Later members have just worked
// together, or have registered again, so that who does not answer for as long as makes a silent process count as dead
// is not to be waited for: its link is cut, and the coordinator decides what follows.
inline absl::Duration ConnectLimit(const ViewAnnouncement& view, const RunConfig::Cluster& cluster) {
  const auto holds = [](const auto& member) { return member.holds; };
  const bool begins = std::none_of(view.workers.begin(), view.workers.end(), holds);
  return begins ? cluster.connect_timeout : std::min(cluster.connect_timeout, cluster.heartbeat_timeout);
}

}  // namespace arcshard::worker
