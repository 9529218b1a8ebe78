#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/monotonic_time.h"
#include "coordinator/members/connection.h"
#include "coordinator/members/membership.h"

// What the members suffice for. Pure functions.
namespace arcshard::coordinator {

// The shards and the workers that would be in it, by connection. Of the workers those whose data set is known and that
// are not barred; the barred ones too if there are no others, or if they alone hold the newest state.
std::vector<Connection> Participants(const Membership& members, MonotonicTime now);

// The workers of the newest view that members have been told of, ascending; none: they hold nothing.
std::optional<std::vector<uint32_t>> WorkersOfNewestView(const Membership& members);

// Every shard is there, and every worker that `awaited` numbers (none: all that the run wants), or after `grace_ends`
// any worker.
bool HasEnough(const Membership& members, const std::optional<std::vector<uint32_t>>& awaited, MonotonicTime grace_ends,
               MonotonicTime now);

// Whether any one shard of the view that is lost now can be rebuilt with the log of another one.
bool AnyShardCanBeRebuilt(const Membership& members, const View& view);

// The worker that alone holds the state; none: several do, or nobody does.
std::optional<Seat> LastHolder(const Membership& members, const StatePoint& state);

}  // namespace arcshard::coordinator
