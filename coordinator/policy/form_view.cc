#include "coordinator/policy/form_view.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "common/base/status_macros.h"
#include "coordinator/policy/decisions.h"
#include "coordinator/policy/ranges.h"

namespace arcshard::coordinator {
namespace {

std::vector<ViewMember> ById(std::vector<ViewMember> members) {
  std::sort(members.begin(), members.end(), [](const ViewMember& a, const ViewMember& b) { return a.id < b.id; });
  assert(std::adjacent_find(members.begin(), members.end(),
                            [](const ViewMember& a, const ViewMember& b) { return a.id == b.id; }) == members.end());
  return members;
}

}  // namespace

absl::StatusOr<FormedView> FormView(const RunConfig& config, const ViewInputs& inputs) {
  assert(!inputs.shards.empty() && !inputs.workers.empty());
  ViewAnnouncement announcement;
  announcement.view = inputs.view;
  announcement.last_decided_step = inputs.last_decided_step;
  if (inputs.resume.has_value()) announcement.checkpoint = inputs.resume->folder;

  ASSIGN_OR_RETURN(announcement.num_classes, DecideNumClasses(config.head.classes, inputs.data.classes));
  ASSIGN_OR_RETURN(const SamplePlan plan, SamplePlanOf(config, inputs.data.samples));
  if (inputs.resume.has_value()) {
    RETURN_IF_ERROR(CheckResumed(*inputs.resume, config, inputs.data, announcement.num_classes, plan));
  }

  const std::vector<ViewMember> shards = ById(inputs.shards);
  std::vector<uint64_t> capacities;
  for (const ViewMember& shard : shards) capacities.push_back(shard.capacity_bytes);
  ASSIGN_OR_RETURN(const std::vector<ClassRange> ranges,
                   AssignRanges(announcement.num_classes, capacities,
                                [&](int64_t classes) { return HeadBytesOfRange(config, classes); }));
  for (size_t k = 0; k < shards.size(); ++k) {
    announcement.shards.push_back({.id = shards[k].id, .address = shards[k].address, .range = ranges[k]});
  }
  for (const ViewMember& worker : ById(inputs.workers)) {
    announcement.workers.push_back({.id = worker.id, .rendezvous = worker.address});
  }
  const Schedule schedule(ScaledSchedule(config), plan.steps_per_epoch(), plan.total_steps());
  return FormedView{std::move(announcement), plan, schedule, inputs.data};
}

}  // namespace arcshard::coordinator
