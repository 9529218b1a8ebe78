#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "common/base/monotonic_time.h"
#include "coordinator/policy/form_view.h"
#include "coordinator/run/connection.h"
#include "coordinator/run/progress.h"
#include "coordinator/run/step_ledger.h"

// The states of a run (run.h has the diagram), each with what is known and needed in that state alone.
namespace arcshard::coordinator {

// States of one view share it.
using SharedView = std::shared_ptr<const FormedView>;

// Members register and workers report their data sets; there is no view yet.
struct Gathering {
  MonotonicTime give_up_at;     // unless all members have registered by then
  std::string last_leave = {};  // who left last, and why; empty: nobody
};

// The view is announced; members connect to each other and load their state.
struct Joining {
  SharedView view;
  std::set<Connection> joined = {};
};

// The members compute a step and vote on it.
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

// Null where there is no view.
SharedView ViewOf(const RunState& state);

// "at step 17", for a sentence about what happened in this state. `step`: the last decided one.
std::string DescribeWhen(const RunState& state, uint64_t step);

}  // namespace arcshard::coordinator
