#pragma once

#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/protocol/messages.h"
#include "coordinator/members/membership.h"
#include "coordinator/policy/decisions.h"

// Finds out from the heartbeats which members wait for each other in vain: what one has sent, the other has not
// received, although both are heard here. A pure function.
namespace arcshard::coordinator {

// What each of them would report if it knew. A wait of less than `limit` is none.
//
// Who does not wait computes, reads or writes: it is slow, perhaps, but explains why others wait for it, and why again
// others wait for those. Only waits that nobody explains are reported:
//
//   a shard waits for a worker       which waits for that shard, or has done everything that shards wait for
//   a worker waits for a shard       which waits for that worker, or for no worker
//   a worker waits in an all-reduce  while no worker waits for a shard
//   a shard waits for a shard's log
//
std::vector<std::pair<Seat, LostPeersReport>> Stalls(const ViewAnnouncement& view, const Membership& members,
                                                     absl::Duration limit);

}  // namespace arcshard::coordinator
