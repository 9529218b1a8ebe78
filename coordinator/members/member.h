#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "common/base/class_range.h"
#include "common/base/monotonic_time.h"
#include "common/protocol/messages.h"
#include "coordinator/members/recent_phases.h"
#include "coordinator/policy/decisions.h"

namespace arcshard::coordinator {

// "shard" or "worker".
absl::string_view NameOf(Role role);
// "shard 1": for a seat, whoever has it.
std::string NameOf(const Seat& seat);
// "worker (pid 123 on host)": for a participant that has no id.
std::string NameOf(const Registration& registration);

// A participant that has a seat.
struct Member {
  Registration registration;  // with the capacity of the GPU that is leased to it, without what it held
  uint32_t id = 0;            // within its role
  std::string token = {};
  std::string device = {};  // uuid of the GPU that is leased to it; empty: none
  MonotonicTime registered;
  MonotonicTime last_heard;
  std::optional<DatasetReport> data = std::nullopt;  // workers, once reported
  ParticipantStats stats = {};                       // the latest
  RecentPhases recent = {};
  std::string leaving = {};  // what has told it to end, "SIGTERM"; empty: nothing has
  bool gone = false;         // its stream has ended after it had finished

  View view = {};                                // the newest one that it was told of on this stream; zero: none
  std::optional<HeldState> held = std::nullopt;  // what it holds, as far as is known (holdings.h); none: nothing
  ClassRange range = {};                         // shards: of which classes

  Seat seat() const { return {registration.role, id}; }
  std::string Name() const;  // "worker 1 (pid 123 on host)"
};

}  // namespace arcshard::coordinator
