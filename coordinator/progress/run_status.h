#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/class_range.h"
#include "common/protocol/messages.h"
#include "coordinator/progress/progress.h"
#include "coordinator/progress/recovery.h"

namespace arcshard::coordinator {

struct MemberStatus {
  Registration registration;
  uint32_t id = 0;
  absl::Duration attending;  // since it registered
  absl::Duration silent;     // since its last message
  ClassRange range = {};     // shards, once there is a view
  ParticipantStats stats = {};
  std::vector<PhaseTime> recent = {};  // as RecentPhases computes them
};

// The run as it is now.
struct RunStatus {
  Progress progress;
  bool began = false;                   // all members had joined: none of them refused the configuration
  View view = {};                       // zero: none yet
  int64_t num_classes = 0;              // likewise
  std::vector<ClassRange> ranges = {};  // of the view's shards, by id
  std::string run_folder;
  absl::Duration checkpoint_age = absl::ZeroDuration();  // of the one of progress.checkpoint_step; zero: there is none
  std::vector<MemberStatus> members;                     // shards, then workers, ids ascending
  std::optional<RecoverySummary> last_recovery = std::nullopt;  // none: nothing was lost yet
};

}  // namespace arcshard::coordinator
