#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"

namespace arcshard::worker {

// What a worker holds of its run, and tells a coordinator (coordinator.proto, Held). It compares points and so decides
// how the worker comes by a view's state (ADR 0016):
//
//   the worker holds               the view's state          what it does
//   that state                                               nothing
//   the state before it, and has   the decision of the       applies the decision
//   voted on the step              vote's view leads to it
//   anything else, or nothing      the view's base           restores the base
//                                  another                   copies the state of another worker
//
// Not thread-safe.
class HeldPoint {
 public:
  // Where a view's state comes from, once `apply` is carried out.
  enum class Source { kKeep, kBase, kCopy };
  struct Entry {
    std::optional<Decision> apply;  // about the step that was voted on
    Source source = Source::kKeep;
  };

  // The view was announced, in which this worker has this position. From now on a vote that was cast can be applied no
  // more. Unless the state is kept, it is being rebuilt until Restored, and with kBase nothing of it remains.
  // FailedPrecondition: a view as new was announced before, or the view says that this worker holds its state, which it
  // does not. Internal: nobody holds the state.
  absl::StatusOr<Entry> Enter(const ViewAnnouncement& view, size_t position);
  // The state of the view that was entered last is held.
  void Restored();
  // A vote on the step after the state was cast, and its result is kept.
  void Voted(uint64_t step) { voted_step_ = step; }
  // The step after the state was decided: the state is that after the decision from now on. Internal: the decision
  // leads to another lineage. Requires a state.
  absl::Status Decided(const Decision& decision);
  void Count(const RunCounters& counters) { counters_ = counters; }

  const View& view() const { return view_.view; }                    // the newest that was announced
  const std::optional<StatePoint>& point() const { return point_; }  // no value: no state is held
  const RunCounters& counters() const { return counters_; }
  HeldState state() const;

 private:
  // Whether the vote that was cast and `view.last` lead to the view's state.
  bool LeadsTo(const ViewAnnouncement& view) const;

  ViewAnnouncement view_;
  std::optional<StatePoint> point_;
  bool rebuilding_ = false;       // for view_
  std::optional<Decision> last_;  // that led to point_; no value: it is not known
  uint64_t voted_step_ = 0;       // 0: none that can still be applied
  RunCounters counters_;
};

}  // namespace arcshard::worker
