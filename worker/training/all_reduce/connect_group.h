#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "worker/training/all_reduce/reduce_group.h"

namespace arcshard::worker {

struct ConnectedGroup {
  absl::Status status;
  std::unique_ptr<ReduceGroup> group = nullptr;  // with OK
  std::vector<int> lost = {};                    // with Unavailable: the ranks that cannot be reached
};

// Waits for a while; an error: nobody needs the group any more.
using Pause = std::function<absl::Status(absl::Duration)>;

// Connects this worker with the others of its view, for AllReduce::Connect. A group has NCCL where every worker of the
// view has a GPU of its own, otherwise Gloo. `pause` is called again and again while other workers have not come yet;
// its error is returned. Calls of c10d take at most connect_timeout.
ConnectedGroup ConnectGroup(const AllReduceOptions& options, const Pause& pause);

}  // namespace arcshard::worker
