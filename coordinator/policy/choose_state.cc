#include "coordinator/policy/choose_state.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/protocol/lineage.h"

namespace arcshard::coordinator {
namespace {

bool CoversBase(const HeldState& held, const StatePoint& base) {
  if (!held.log_base.has_value()) return false;
  return held.log_base->step < base.step || *held.log_base == base;
}

// The decisions that may have been the last one, the newest first.
std::vector<Decision> Candidates(const StateInputs& inputs) {
  std::vector<Decision> candidates;
  if (inputs.knows_last) {
    if (inputs.last.has_value()) candidates.push_back(*inputs.last);
    return candidates;
  }
  View newest;
  for (const Holding& holding : inputs.holdings) newest = std::max(newest, holding.held.view);
  for (const Holding& holding : inputs.holdings) {
    const std::optional<Decision>& last = holding.held.last;
    if (holding.held.view != newest || !last.has_value()) continue;
    const auto same = [&](const Decision& known) { return known.after() == last->after(); };
    if (std::none_of(candidates.begin(), candidates.end(), same)) candidates.push_back(*last);
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Decision& a, const Decision& b) { return a.step > b.step; });
  return candidates;
}

// Who is at `state` already.
void AddHolders(const StateInputs& inputs, ChosenState* chosen) {
  for (const Holding& holding : inputs.holdings) {
    if (!Holds(holding.held, chosen->state, chosen->last)) continue;
    if (holding.seat.role == Role::kWorker) {
      chosen->holders.insert(holding.seat);
    } else if (holding.seat.id < inputs.ranges.size() && holding.range == inputs.ranges[holding.seat.id]) {
      chosen->holders.insert(holding.seat);
      if (CoversBase(holding.held, inputs.base)) chosen->logs.insert(holding.seat);
    }
  }
  if (!inputs.log_problem.empty()) chosen->logs.clear();
}

// Why the members cannot all come to the state that `chosen` names; empty: they can.
std::string WhatIsMissing(const StateInputs& inputs, const ChosenState& chosen) {
  const auto nobody_holds_it = [&chosen](Role role) {
    return std::none_of(chosen.holders.begin(), chosen.holders.end(),
                        [role](const Seat& seat) { return seat.role == role; });
  };
  if (nobody_holds_it(Role::kWorker)) return absl::StrCat("no worker holds the state after step ", chosen.state.step);
  if (nobody_holds_it(Role::kShard)) return absl::StrCat("no shard holds the state after step ", chosen.state.step);
  if (!chosen.logs.empty()) return "";
  for (uint32_t id = 0; id < inputs.ranges.size(); ++id) {
    if (chosen.holders.contains(Seat{Role::kShard, id})) continue;
    if (!inputs.log_problem.empty()) return absl::StrCat("shard ", id, " cannot be rebuilt: ", inputs.log_problem);
    return absl::StrCat("shard ", id, " has to be rebuilt, but no shard that holds the state after step ",
                        chosen.state.step, " has a log that begins at step ", inputs.base.step);
  }
  return "";
}

}  // namespace

// A vote counts only in the view in which it was cast: the step of a later view may have had other micro-batches.
bool Holds(const HeldState& held, const StatePoint& state, const std::optional<Decision>& last) {
  if (!held.whole) return false;
  if (held.state == state) return true;
  return last.has_value() && last->view == held.view && held.voted_step == last->step &&
         held.state.step + 1 == last->step && ExtendLineage(held.state.lineage, *last) == state.lineage;
}

ChosenState ChooseState(const StateInputs& inputs) {
  uint64_t given_up = 0;
  std::string reason;
  for (const Decision& last : Candidates(inputs)) {
    if (last.step < inputs.base.step) break;
    ChosenState chosen{.state = last.after(), .last = last};
    AddHolders(inputs, &chosen);
    std::string missing = chosen.state == inputs.base ? "" : WhatIsMissing(inputs, chosen);
    if (missing.empty()) return chosen;
    if (given_up == 0 && last.step > inputs.base.step) {
      given_up = last.step;
      reason = std::move(missing);
    }
  }
  ChosenState chosen{.state = inputs.base, .given_up = given_up, .reason = std::move(reason)};
  AddHolders(inputs, &chosen);
  return chosen;
}

}  // namespace arcshard::coordinator
