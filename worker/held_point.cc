#include "worker/held_point.h"

#include <algorithm>
#include <cassert>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/protocol/lineage.h"

namespace arcshard::worker {
namespace {

std::string Describe(const StatePoint& point) {
  return absl::StrCat("step ", point.step, " with lineage ", absl::Hex(point.lineage, absl::kZeroPad16));
}

}  // namespace

// A result is that of one view: in another one the step may have been computed in other micro-batches.
bool HeldPoint::LeadsTo(const ViewAnnouncement& view) const {
  return point_.has_value() && view.last.has_value() && view.last->view == view_.view &&
         view.last->step == voted_step_ && view.state.step == voted_step_ && point_->step + 1 == voted_step_ &&
         ExtendLineage(point_->lineage, *view.last) == view.state.lineage;
}

absl::StatusOr<HeldPoint::Entry> HeldPoint::Enter(const ViewAnnouncement& view, size_t position) {
  assert(position < view.workers.size());
  if (view.view <= view_.view) {
    return absl::FailedPreconditionError(
        absl::StrCat(ToString(view.view), " was announced after ", ToString(view_.view)));
  }
  Entry entry;
  if (LeadsTo(view)) {
    entry.apply = view.last;
    point_ = view.state;
    last_ = view.last;
    counters_ = last_->counters;
  }
  const bool holds = point_ == view.state;
  if (!holds && view.workers[position].holds) {
    return absl::FailedPreconditionError(
        absl::StrCat(ToString(view.view), " says that this worker holds the state after ", Describe(view.state),
                     ", but it holds ", point_.has_value() ? absl::StrCat("that after ", Describe(*point_)) : "none"));
  }
  if (!holds) entry.source = view.state == view.base ? Source::kBase : Source::kCopy;
  if (entry.source == Source::kCopy &&
      std::none_of(view.workers.begin(), view.workers.end(), [](const WorkerMember& worker) { return worker.holds; })) {
    return absl::InternalError(absl::StrCat("in ", ToString(view.view), " no worker holds the state after ",
                                            Describe(view.state), ", which is not its base"));
  }
  if (entry.source == Source::kBase) {
    point_.reset();
    last_.reset();
  }
  rebuilding_ = entry.source != Source::kKeep;
  voted_step_ = 0;
  view_ = view;
  return entry;
}

void HeldPoint::Restored() {
  if (!rebuilding_) return;
  rebuilding_ = false;
  point_ = view_.state;
  last_ = view_.last;
  if (last_.has_value()) counters_ = last_->counters;
}

absl::Status HeldPoint::Decided(const Decision& decision) {
  assert(point_.has_value());
  const uint64_t lineage = ExtendLineage(point_->lineage, decision);
  if (lineage != decision.lineage) {
    return absl::InternalError(absl::StrCat("the decision about step ", decision.step, " of ", ToString(decision.view),
                                            " leads to lineage ", absl::Hex(decision.lineage, absl::kZeroPad16),
                                            ", but from this worker's state to ",
                                            absl::Hex(lineage, absl::kZeroPad16)));
  }
  point_ = decision.after();
  last_ = decision;
  voted_step_ = 0;
  counters_ = decision.counters;
  return absl::OkStatus();
}

HeldState HeldPoint::state() const {
  HeldState held;
  held.view = view_.view;
  for (const ShardMember& shard : view_.shards) held.range_ends.push_back(shard.range.end);
  for (const WorkerMember& worker : view_.workers) held.workers.push_back(worker.id);
  held.whole = point_.has_value() && !rebuilding_;
  if (held.whole) held.state = *point_;
  held.voted_step = voted_step_;
  held.last = rebuilding_ ? view_.last : last_;
  held.counters = counters_;
  return held;
}

}  // namespace arcshard::worker
