#include "coordinator/run/run_state.h"

#include "absl/strings/str_cat.h"

namespace arcshard::coordinator {
namespace {

struct ToPhase {
  Phase operator()(const Gathering& gathering) const {
    return gathering.recovers ? Phase::kRecovering : Phase::kGathering;
  }
  Phase operator()(const Joining& joining) const { return joining.recovers ? Phase::kRecovering : Phase::kJoining; }
  Phase operator()(const Training&) const { return Phase::kTraining; }
  Phase operator()(const Evaluating&) const { return Phase::kEvaluating; }
  Phase operator()(const Stopping&) const { return Phase::kStopping; }
  Phase operator()(const Ended& ended) const { return ended.result.ok() ? Phase::kFinished : Phase::kFailed; }
};

struct ToView {
  SharedView operator()(const Gathering& gathering) const { return gathering.before; }
  template <typename StateWithView>
  SharedView operator()(const StateWithView& state) const {
    return state.view;
  }
};

struct ToDescription {
  uint64_t step;
  std::string operator()(const Gathering& gathering) const {
    return gathering.recovers ? absl::StrCat("while recovering after step ", step) : "before the run began";
  }
  std::string operator()(const Joining& joining) const {
    return joining.recovers ? absl::StrCat("while recovering after step ", step) : "while joining";
  }
  std::string operator()(const Training&) const { return absl::StrCat("at step ", step + 1); }
  std::string operator()(const Evaluating&) const { return absl::StrCat("during the evaluation after step ", step); }
  std::string operator()(const Stopping&) const { return absl::StrCat("while stopping after step ", step); }
  std::string operator()(const Ended&) const { return absl::StrCat("after the run's end at step ", step); }
};

}  // namespace

absl::Status Ended::Refusal() const { return absl::AbortedError(result.ok() ? "the run has ended" : result.message()); }

Phase PhaseOf(const RunState& state) { return std::visit(ToPhase(), state); }

SharedView ViewOf(const RunState& state) { return std::visit(ToView(), state); }

std::string DescribeWhen(const RunState& state, uint64_t step) { return std::visit(ToDescription{step}, state); }

}  // namespace arcshard::coordinator
