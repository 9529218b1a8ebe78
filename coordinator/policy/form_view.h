#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/run_config.h"
#include "common/protocol/messages.h"
#include "common/protocol/sample_plan.h"
#include "common/protocol/types.h"
#include "coordinator/policy/resume.h"
#include "coordinator/policy/schedule.h"

namespace arcshard::coordinator {

// One participant that a view is to contain.
struct ViewMember {
  uint32_t id = 0;  // within its role
  std::string address;
  uint64_t capacity_bytes = 0;  // shards
};

struct ViewInputs {
  View view;
  std::vector<ViewMember> shards;   // in any order; at least one, each id once
  std::vector<ViewMember> workers;  // likewise
  DatasetReport data;               // the same for all workers
  uint64_t last_decided_step = 0;
  std::optional<ResumePoint> resume = std::nullopt;  // the state after last_decided_step; none: the run is at step 0
};

// Everything that holds as long as a view does.
struct FormedView {
  ViewAnnouncement announcement;  // without the workers' tokens
  SamplePlan plan;
  Schedule schedule;
  DatasetReport data;
};

// Assigns the class ranges, shards in order of their ids, and plans the run. A pure function.
// InvalidArgument: the configuration and the data disagree on the number of classes, or the data is too small for it.
// FailedPrecondition: the run cannot resume (CheckResumed).
// ResourceExhausted: the classes do not fit the shards.
absl::StatusOr<FormedView> FormView(const RunConfig& config, const ViewInputs& inputs);

}  // namespace arcshard::coordinator
