#pragma once

#include <optional>
#include <vector>

#include "common/base/class_range.h"
#include "common/config/run_config.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "coordinator/members/member.h"
#include "coordinator/policy/choose_state.h"

// What each member is known to hold: what it says when it registers, and from then on what follows from the views,
// votes and decisions that it takes part in. All of them change `member->held` and `member->range`.
namespace arcshard::coordinator {

// Whether the run's shards keep replay logs, for each other.
bool KeepsLogs(const RunConfig& config);

// The classes of the shard `id` in the view of `held`; none if that view had no such shard.
ClassRange RangeOfHeld(const HeldState& held, uint32_t id);

// The member is told of the view, and has to bring its state to the view's.
void NoteAnnounced(const ViewAnnouncement& view, Member* member);
// It has done so. `keeps_log`: the view's shards keep replay logs.
void NoteJoined(const ViewAnnouncement& view, bool keeps_log, Member* member);
// A shard's vote says whether its log still has every record after `base`, the present one.
void NoteVote(const ReadyVote& vote, const StatePoint& base, bool keeps_log, Member* member);
// It applies the decision, or will. What it knows of decisions and counters is not kept for each member: once there is
// a view the run knows the newest (StateInputs::knows_last).
void NoteDecided(const Decision& decision, Member* member);

// What ChooseState has to know of the member; none: it holds nothing.
std::optional<Holding> HoldingOf(const Member& member);

}  // namespace arcshard::coordinator
