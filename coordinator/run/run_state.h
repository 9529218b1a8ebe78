#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "common/base/monotonic_time.h"
#include "common/protocol/run_counters.h"
#include "common/protocol/types.h"
#include "coordinator/members/connection.h"
#include "coordinator/policy/form_view.h"
#include "coordinator/policy/step_ledger.h"
#include "coordinator/progress/progress.h"

// The states of a run (run.h has the diagram), each with what is known and needed in that state alone.
namespace arcshard::coordinator {

// How far the run has come.
struct Position {
  StatePoint point;                             // the last decided step, or that of the checkpoint it began from
  std::optional<Decision> last = std::nullopt;  // that led there; none: `point` is the base
  RunCounters counters = {};
  uint64_t step() const { return point.step; }
};

// States of one view share it.
using SharedView = std::shared_ptr<const FormedView>;

// The run waits until it has the members of its next view: they register, and workers report their data sets.
struct Gathering {
  MonotonicTime give_up_at;     // unless there are enough members by then
  std::string last_leave = {};  // who left last without having taken part, and why; empty: nobody
  SharedView before = nullptr;  // the view before; null: the run has had none
  bool recovers = false;        // a view has lost members, or members hold the state of the run's earlier life
  // Until then all workers are waited for that the view before had. A run's first view needs all of them.
  MonotonicTime grace_ends = MonotonicTime::InfiniteFuture();
  // Until then places of shards are kept for those that had them.
  MonotonicTime seats_kept_until = MonotonicTime::InfinitePast();
};

// The view is announced; the members bring their state to the view's and connect to each other.
struct Joining {
  SharedView view;
  bool recovers = false;  // as in Gathering
  std::set<Connection> joined = {};
};

// The members compute a step and vote on it. As long as a run is in this state, they are the same.
struct Training {
  SharedView view;
  StepLedger ledger;  // of the step in progress
};

// The lowest-numbered worker evaluates; the others wait.
struct Evaluating {
  SharedView view;
};

// The members were told to stop; they write the model and finish.
struct Stopping {
  SharedView view;
  MonotonicTime give_up_at;  // unless all have finished by then
  std::set<Connection> finished = {};
};

struct Ended {
  absl::Status result;  // OK: the run ended in order
  SharedView view;      // the last one; null: there was none

  // Answers whatever comes after the end: Aborted, with the sentence of the result.
  absl::Status Refusal() const;
};

using RunState = std::variant<Gathering, Joining, Training, Evaluating, Stopping, Ended>;

Phase PhaseOf(const RunState& state);

// The view that is in force, or was before a loss. Null where there was none.
SharedView ViewOf(const RunState& state);

// "at step 17", for a sentence about what happened in this state. `step`: the last decided one.
std::string DescribeWhen(const RunState& state, uint64_t step);

}  // namespace arcshard::coordinator
