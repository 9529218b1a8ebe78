#include "coordinator/run/views.h"

#include <memory>
#include <optional>
#include <utility>

#include "common/base/status_macros.h"
#include "coordinator/members/holdings.h"
#include "coordinator/policy/decisions.h"

namespace arcshard::coordinator {

absl::StatusOr<Views::NextView> Views::Form(const std::vector<const Member*>& members, const Position& at,
                                            const CheckpointBase& base) const {
  ViewInputs inputs{.view = {incarnation_, count_ + 1}, .shards = {}, .workers = {}, .data = {}};
  inputs.base = base.point;
  inputs.checkpoint = base.folder;
  if (!any()) inputs.resume = resume_;
  StateInputs of_state{.base = base.point, .knows_last = any(), .last = at.last, .log_problem = log_problem_};
  for (const Member* const member : members) {
    const Registration& registration = member->registration;
    std::vector<ViewMember>& role = registration.role == Role::kShard ? inputs.shards : inputs.workers;
    role.push_back({.id = member->id, .address = registration.address, .capacity_bytes = registration.capacity_bytes});
    if (member->data.has_value()) inputs.data = *member->data;
    if (std::optional<Holding> holding = HoldingOf(*member)) of_state.holdings.push_back(*std::move(holding));
  }
  ASSIGN_OR_RETURN(const int64_t num_classes, DecideNumClasses(config_->head.classes, inputs.data.classes));
  of_state.ranges = inputs.ranges = RangesBefore(members, num_classes);
  if (inputs.ranges.empty()) {  // nobody holds anything that could be used
    of_state.ranges.resize(inputs.shards.size());
    for (Holding& holding : of_state.holdings) holding.held.whole = false;
  }
  inputs.chosen = ChooseState(of_state);
  if (inputs.ranges.empty() && inputs.chosen.given_up > 0) {
    inputs.chosen.reason = "the run has other shards or classes than before";
  }
  ASSIGN_OR_RETURN(FormedView formed, FormView(*config_, inputs));
  return NextView{std::make_shared<const FormedView>(std::move(formed)), std::move(inputs.chosen)};
}

// The ranges of this coordinator's views; those of the newest view that members know of, if they fit this run; else
// none.
std::vector<ClassRange> Views::RangesBefore(const std::vector<const Member*>& members, int64_t num_classes) const {
  if (any()) return ranges_;
  const HeldState* newest = nullptr;
  for (const Member* const member : members) {
    if (!member->held.has_value()) continue;
    if (newest == nullptr || newest->view < member->held->view) newest = &*member->held;
  }
  if (newest == nullptr || newest->range_ends.size() != config_->cluster.shards) return {};
  if (newest->range_ends.back() != num_classes) return {};
  std::vector<ClassRange> ranges;
  for (uint32_t id = 0; id < newest->range_ends.size(); ++id) ranges.push_back(RangeOfHeld(*newest, id));
  return ranges;
}

void Views::Take(const NextView& next) {
  ++count_;
  ranges_.clear();
  for (const ShardMember& shard : next.view->announcement.shards) ranges_.push_back(shard.range);
  log_problem_.clear();
}

}  // namespace arcshard::coordinator
