// Views: how a ShardState enters one, what it holds, and its part in a replay.
#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::shard {

absl::Status ShardState::JoinView(const ViewAnnouncement& view, head::Head* head) {
  MutexLock lock(&mutex_);
  if (phase_ != Phase::kUnjoined && view.view <= view_.view) {
    if (view == view_) return absl::OkStatus();
    if (view.view == view_.view) {
      return absl::AlreadyExistsError(
          absl::StrCat(ToString(view.view), " was announced before with other members or another state"));
    }
    return absl::FailedPreconditionError(
        absl::StrCat(ToString(view.view), " was announced, but this shard is in ", ToString(view_.view)));
  }
  RETURN_IF_ERROR(CheckAnnouncement(view, head->options()));
  assert(head_ == nullptr || head_ == head);
  if (phase_ == Phase::kStep) {
    if (TakesLast(view)) {
      AddDecision(*view.last);
    } else {
      void_ = true;
    }
  }
  view_ = view;
  head_ = head;
  phase_ = Phase::kJoining;
  active_at_ = options_.clock->Now();
  installed_.reset();
  // Refusing a message of an older view would end its worker's stream of this one.
  refusals_.clear();
  waiting_.DropBefore(view.view);
  log_.EnterView(view);
  rebuild_.Enter(view);
  work_.NotifyOne();
  return absl::OkStatus();
}

// Whether the decision that the view carries is about the open step. Other inputs may have led to a decision of the
// same step in another view.
bool ShardState::TakesLast(const ViewAnnouncement& view) {
  if (!view.last.has_value() || !open().voted() || view.last->view != open().record().view) return false;
  const absl::StatusOr<DecisionHistory::Order> order = decisions_.Check(*view.last);
  return order.ok() && *order == DecisionHistory::Order::kNext;
}

absl::Status ShardState::CheckAnnouncement(const ViewAnnouncement& view, const head::HeadOptions& held) const {
  const auto self = std::find_if(view.shards.begin(), view.shards.end(),
                                 [this](const ShardMember& shard) { return shard.id == options_.id; });
  if (self == view.shards.end()) {
    return absl::InvalidArgumentError(absl::StrCat(ToString(view.view), " does not name shard ", options_.id));
  }
  if (self->range != held.range || view.num_classes != held.num_classes || options_.dim != held.dim) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToString(view.view), " gives classes [", self->range.begin, ", ", self->range.end, ") of ",
                     view.num_classes, ", ", options_.dim, " dimensions, but the head holds [", held.range.begin, ", ",
                     held.range.end, ") of ", held.num_classes, ", ", held.dim, " dimensions"));
  }
  if (view.workers.empty()) return absl::InvalidArgumentError(absl::StrCat(ToString(view.view), " has no workers"));
  if (view.view <= View{}) return absl::InvalidArgumentError("views are numbered from 1.1");
  const bool last_leads_to_state = view.last.has_value() && view.last->after() == view.state;
  if (view.last.has_value() ? !last_leads_to_state : view.state != view.base) {
    return absl::InvalidArgumentError(absl::StrCat(ToString(view.view), " goes on from the state after step ",
                                                   view.state.step, ", to which its last decision does not lead"));
  }
  if (view.base.step > view.state.step || (view.base.step == view.state.step && view.base != view.state)) {
    return absl::InvalidArgumentError(absl::StrCat(ToString(view.view), " goes on from the state after step ",
                                                   view.state.step, ", which does not follow its base after step ",
                                                   view.base.step));
  }
  if (view.checkpoint.empty() && view.base != StatePoint{}) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToString(view.view), " names no checkpoint for its base after step ", view.base.step));
  }
  return absl::OkStatus();
}

absl::Status ShardState::Install(const arcshard::Install& install) {
  MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CheckView(install.view, "Install"));
  if (installed_.has_value()) {
    if (install == installed_) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat(ToString(install.view), " was installed before with another first action"));
  }
  if (phase_ != Phase::kBetween) {
    return absl::FailedPreconditionError(
        absl::StrCat(ToString(install.view), " was installed before this shard had joined it"));
  }
  RETURN_IF_ERROR(CheckNext(install.next, undecided()));
  installed_ = install;
  counters_ = install.counters;
  Enter(install.next);
  work_.NotifyOne();
  return absl::OkStatus();
}

void ShardState::CheckpointSettled(const arcshard::CheckpointSettled& settled) {
  MutexLock lock(&mutex_);
  log_.Settle(settled);
  work_.NotifyOne();  // a vote may have waited for it
}

HeldState ShardState::held() const {
  MutexLock lock(&mutex_);
  HeldState held;
  held.view = view_.view;
  held.counters = counters_;
  for (const ShardMember& shard : view_.shards) held.range_ends.push_back(shard.range.end);
  for (const WorkerMember& worker : view_.workers) held.workers.push_back(worker.id);
  if (!decisions_.point().has_value()) return held;
  held.state = *decisions_.point();
  held.log_base = log_.base();
  held.whole = phase_ != Phase::kJoining || held.state == view_.state;
  if (held.whole) held.last = decisions_.last();
  if (phase_ == Phase::kStep && open().voted()) held.voted_step = undecided();
  return held;
}

absl::Status ShardState::Record(const View& view, std::shared_ptr<const ReplayRecord> record) {
  MutexLock lock(&mutex_);
  RETURN_IF_ERROR(rebuild_.Add(view, std::move(record)));
  active_at_ = options_.clock->Now();
  work_.NotifyOne();
  return absl::OkStatus();
}

void ShardState::ReplayEnded(const View& view, const absl::Status& status) {
  MutexLock lock(&mutex_);
  rebuild_.End(view, status);
  work_.NotifyOne();
}

absl::StatusOr<std::shared_ptr<const ReplayRecord>> ShardState::RecordAfter(const StatePoint& after) const {
  MutexLock lock(&mutex_);
  return log_.After(after);
}

}  // namespace arcshard::shard
