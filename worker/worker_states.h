#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "common/base/monotonic_time.h"
#include "common/protocol/types.h"

// The states of WorkerProtocol, which alone uses them.
namespace arcshard::worker::worker_states {

// The worker's place in a view.
struct Seat {
  View view;
  size_t position = 0;  // among the view's workers
  bool first() const { return position == 0; }
};

struct AwaitingWelcome {};  // the first one, or after the coordinator was lost
struct OpeningData {};
struct AwaitingView {};  // of whatever view it was in, it has left it
struct Joining {
  Seat seat;
};
struct AwaitingInstall {
  Seat seat;
};
struct Computing {
  Seat seat;
  uint64_t step = 0;
};
struct AwaitingDecision {
  Seat seat;
  uint64_t step = 0;  // that the decision is about
};
struct Evaluating {
  Seat seat;
};
struct AwaitingProceed {
  Seat seat;
};
struct Finishing {};
struct AwaitingEnd {};
struct Failing {
  absl::Status status;
  MonotonicTime deadline;
  bool told = false;  // the coordinator
};
struct Ended {
  absl::Status status;
};

using State = std::variant<AwaitingWelcome, OpeningData, AwaitingView, Joining, AwaitingInstall, Computing,
                           AwaitingDecision, Evaluating, AwaitingProceed, Finishing, AwaitingEnd, Failing, Ended>;

// What the worker does, for messages: "waits for the Welcome".
std::string Describe(const State& state);

}  // namespace arcshard::worker::worker_states
