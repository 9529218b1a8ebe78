#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/class_range.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "coordinator/policy/decisions.h"

// From which state a view goes on (ADR 0016), as a pure function of what its members hold.
namespace arcshard::coordinator {

// What one of the members that are here holds.
struct Holding {
  Seat seat;  // that it has now
  HeldState held;
  ClassRange range = {};  // shards: of which classes it holds the state
};

struct StateInputs {
  std::vector<Holding> holdings = {};   // of the members that hold anything; a seat at most once
  std::vector<ClassRange> ranges = {};  // of the view's shards, by id
  StatePoint base = {};                 // of the newest complete checkpoint; zero: the first weights
  // A coordinator that has formed a view knows the last decision itself (none: the run is at the base). One that was
  // started again learns it from the members.
  bool knows_last = false;
  std::optional<Decision> last = std::nullopt;
  std::string log_problem = {};  // why no shard can use another one's log; empty: it can
};

struct ChosenState {
  StatePoint state;
  std::optional<Decision> last = std::nullopt;  // the decision that led to `state`; none: `state` is the base
  std::set<Seat> holders = {};                  // who holds `state`, or will once it has applied `last`
  std::set<Seat> logs = {};                     // the shards among them with every record from the base on
  // A rollback: the last decided step that is known, and why its state is given up. 0: none is given up.
  uint64_t given_up = 0;
  std::string reason = {};
};

// Whether a process that holds `held` is at `state`, to which `last` has led, or gets there by applying `last`.
bool Holds(const HeldState& held, const StatePoint& state, const std::optional<Decision>& last);

// Goes on from the newest decision that is known to stand, if a worker holds the state after it, and every shard does
// or can rebuild its range from the base and the log of one that does. Otherwise from the base.
//
// Which decision is the last one is known to those who were told of the newest view; whoever knows only of an older
// one may have missed that its decision was voided. But everybody whose lineage is the chosen state's holds that state.
ChosenState ChooseState(const StateInputs& inputs);

}  // namespace arcshard::coordinator
