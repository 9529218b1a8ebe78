#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/class_range.h"
#include "common/config/run_config.h"
#include "common/protocol/messages.h"
#include "common/protocol/sample_plan.h"
#include "common/protocol/types.h"
#include "coordinator/policy/choose_state.h"
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
  std::vector<ViewMember> shards;       // in any order; at least one, each id once
  std::vector<ViewMember> workers;      // likewise
  DatasetReport data;                   // the same for all workers
  std::vector<ClassRange> ranges = {};  // of the shards, by id, as they were before; empty: they are to be assigned
  ChosenState chosen = {};              // the state that the view goes on from, and who holds it
  StatePoint base = {};                 // where a rebuilt range begins
  std::string checkpoint = {};          // folder of the base; empty: the first weights
  const ResumePoint* resume = nullptr;  // what this life of the run began from, to be checked; null: nothing
};

// Everything that holds as long as a view does.
struct FormedView {
  ViewAnnouncement announcement;  // without the tokens
  SamplePlan plan;
  Schedule schedule;
  DatasetReport data;
};

// Assigns the class ranges, shards in order of their ids, unless they have them already, and plans the run. A pure
// function.
// InvalidArgument: the configuration and the data disagree on the number of classes, or the data is too small for it.
// FailedPrecondition: the run cannot resume (CheckResumed).
// ResourceExhausted: the classes do not fit the shards.
absl::StatusOr<FormedView> FormView(const RunConfig& config, const ViewInputs& inputs);

}  // namespace arcshard::coordinator
