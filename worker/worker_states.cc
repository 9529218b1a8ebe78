#include "worker/worker_states.h"

#include "absl/strings/str_cat.h"

namespace arcshard::worker::worker_states {

std::string Describe(const State& state) {
  struct Words {
    std::string operator()(const AwaitingWelcome&) const { return "waits for the Welcome"; }
    std::string operator()(const OpeningData&) const { return "opens its data"; }
    std::string operator()(const AwaitingView&) const { return "waits for a view"; }
    std::string operator()(const Joining& joining) const { return absl::StrCat("joins ", ToString(joining.seat.view)); }
    std::string operator()(const AwaitingInstall& awaiting) const {
      return absl::StrCat("waits until all have joined ", ToString(awaiting.seat.view));
    }
    std::string operator()(const Computing& computing) const {
      return absl::StrCat("computes step ", computing.step, " of ", ToString(computing.seat.view));
    }
    std::string operator()(const AwaitingDecision& awaiting) const {
      return absl::StrCat("waits for the decision about step ", awaiting.step, " of ", ToString(awaiting.seat.view));
    }
    std::string operator()(const Evaluating& evaluating) const {
      return absl::StrCat("evaluates in ", ToString(evaluating.seat.view));
    }
    std::string operator()(const AwaitingProceed& awaiting) const {
      return absl::StrCat("waits for a Proceed of ", ToString(awaiting.seat.view));
    }
    std::string operator()(const Finishing&) const { return "finishes"; }
    std::string operator()(const AwaitingEnd&) const { return "has finished"; }
    std::string operator()(const Failing&) const { return "has failed"; }
    std::string operator()(const Ended&) const { return "has ended"; }
  };
  return std::visit(Words{}, state);
}

}  // namespace arcshard::worker::worker_states
