#include "coordinator/policy/form_view.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "common/base/status_macros.h"
#include "common/config/head_memory.h"
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

absl::StatusOr<std::vector<ClassRange>> RangesOf(const RunConfig& config, const ViewInputs& inputs, int64_t num_classes,
                                                 const std::vector<ViewMember>& shards) {
  if (!inputs.ranges.empty()) {
    assert(inputs.ranges.size() == shards.size() && inputs.ranges.back().end == num_classes);
    return inputs.ranges;
  }
  std::vector<uint64_t> capacities;
  for (const ViewMember& shard : shards) capacities.push_back(shard.capacity_bytes);
  return AssignRanges(num_classes, capacities, [&](int64_t classes) { return HeadBytesOfRange(config, classes); });
}

}  // namespace

absl::StatusOr<FormedView> FormView(const RunConfig& config, const ViewInputs& inputs) {
  assert(!inputs.shards.empty() && !inputs.workers.empty());
  ViewAnnouncement announcement{.view = inputs.view,
                                .shards = {},
                                .workers = {},
                                .state = inputs.chosen.state,
                                .last = inputs.chosen.last,
                                .base = inputs.base,
                                .checkpoint = inputs.checkpoint};
  ASSIGN_OR_RETURN(announcement.num_classes, DecideNumClasses(config.head.classes, inputs.data.classes));
  ASSIGN_OR_RETURN(const SamplePlan plan, SamplePlanOf(config, inputs.data.samples));
  if (inputs.resume != nullptr) {
    RETURN_IF_ERROR(CheckResumed(*inputs.resume, config, inputs.data, announcement.num_classes, plan));
  }
  const std::vector<ViewMember> shards = ById(inputs.shards);
  ASSIGN_OR_RETURN(const std::vector<ClassRange> ranges, RangesOf(config, inputs, announcement.num_classes, shards));
  for (size_t k = 0; k < shards.size(); ++k) {
    const Seat seat{Role::kShard, shards[k].id};
    announcement.shards.push_back({.id = seat.id,
                                   .address = shards[k].address,
                                   .range = ranges[k],
                                   .holds = inputs.chosen.holders.contains(seat),
                                   .has_log = inputs.chosen.logs.contains(seat)});
  }
  for (const ViewMember& worker : ById(inputs.workers)) {
    announcement.workers.push_back({.id = worker.id,
                                    .rendezvous = worker.address,
                                    .holds = inputs.chosen.holders.contains(Seat{Role::kWorker, worker.id})});
  }
  const Schedule schedule(ScaledSchedule(config), plan.steps_per_epoch(), plan.total_steps());
  return FormedView{std::move(announcement), plan, schedule, inputs.data};
}

}  // namespace arcshard::coordinator
