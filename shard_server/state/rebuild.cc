#include "shard_server/state/rebuild.h"

#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/protocol/lineage.h"
#include "shard_server/state/log/record_applier.h"

namespace arcshard::shard {

void Rebuild::Enter(const ViewAnnouncement& view) {
  view_ = view;
  peers_.clear();
  for (const ShardMember& shard : view.shards) {
    if (shard.has_log && shard.id != self_) peers_.push_back(shard.id);
  }
  next_peer_ = 0;
  asked_.reset();
  records_.clear();
  unknown_.reset();
  lost_.reset();
  told_ = false;
}

Rebuild::Step Rebuild::Next(const std::optional<StatePoint>& point) const {
  if (point == view_.state) return Step::kDone;
  if (view_.state == view_.base) return Step::kRestore;
  if (!records_.empty()) return Step::kReplay;
  if (asked_.has_value()) return Step::kWait;
  if (next_peer_ == peers_.size()) return told_ ? Step::kWait : Step::kGiveUp;
  return IsOnTheWay(point) ? Step::kAsk : Step::kRestore;
}

bool Rebuild::IsOnTheWay(const std::optional<StatePoint>& point) const {
  if (!point.has_value()) return false;
  if (point == view_.base) return true;
  return point->step > view_.base.step && point->step < view_.state.step && point != unknown_;
}

void Rebuild::TakeRestore(MonotonicTime now) {
  if (!since_.has_value()) since_ = now;
}

Rebuild::Request Rebuild::TakeRequest(const StatePoint& point, MonotonicTime now) {
  assert(!asked_.has_value() && records_.empty());
  if (!since_.has_value()) since_ = now;
  asked_ = Request{peers_[next_peer_], point, view_.state.step};
  received_ = point;
  return *asked_;
}

std::shared_ptr<const ReplayRecord> Rebuild::TakeRecord() {
  assert(!records_.empty());
  std::shared_ptr<const ReplayRecord> record = std::move(records_.front());
  records_.pop_front();
  ++replayed_;
  return record;
}

LostPeersReport Rebuild::TakeReport() {
  told_ = true;
  if (lost_.has_value()) return *lost_;
  return {.view = view_.view,
          .sentence = absl::StrCat("shard ", self_, " cannot rebuild its classes up to step ", view_.state.step,
                                   ": no other shard has a replay log")};
}

JoinedReport Rebuild::TakeJoined(MonotonicTime now) {
  JoinedReport report{.view = view_.view, .state = view_.state, .replayed_steps = std::exchange(replayed_, 0)};
  if (since_.has_value()) report.rebuilt_in_seconds = absl::ToDoubleSeconds(now - *since_);
  since_.reset();
  return report;
}

absl::Status Rebuild::Add(const View& view, std::shared_ptr<const ReplayRecord> record) {
  const auto refuse = [&](const auto&... why) {
    return absl::FailedPreconditionError(
        absl::StrCat("the record of step ", record->plan.step, " came for ", ToString(view), ", but ", why...));
  };
  if (view != view_.view || !asked_.has_value()) return refuse("shard ", self_, " has not asked for it");
  if (received_.step == view_.state.step) return refuse("shard ", self_, " needs none after step ", received_.step);
  if (record->plan.step != received_.step + 1) return refuse("step ", received_.step + 1, " is next");
  RETURN_IF_ERROR(CheckReceived(*record, dim_));
  const uint64_t lineage = ExtendLineage(
      received_.lineage,
      {.view = record->view, .step = record->plan.step, .outcome = *record->outcome, .lr = record->lr, .next = {}});
  if (record->after.lineage != lineage) {
    return refuse("leads to the lineage ", absl::Hex(lineage), ", not to ", absl::Hex(record->after.lineage));
  }
  if (record->plan.step == view_.state.step && record->after != view_.state) {
    return refuse("the view's state has the lineage ", absl::Hex(view_.state.lineage), ", not ", absl::Hex(lineage));
  }
  received_ = record->after;
  records_.push_back(std::move(record));
  return absl::OkStatus();
}

void Rebuild::End(const View& view, const absl::Status& status) {
  if (view != view_.view || !asked_.has_value()) return;
  const Request asked = *std::exchange(asked_, std::nullopt);
  if (received_ == view_.state) return;  // whatever happened after the last record
  if (absl::IsNotFound(status) && received_ == asked.after && asked.after != view_.base) {
    unknown_ = asked.after;
    return;
  }
  Lose(asked.peer, status.ok() ? absl::StrCat("it sent nothing after step ", received_.step) : status.message());
}

void Rebuild::Lose(uint32_t peer, absl::string_view why) {
  if (!lost_.has_value()) {
    lost_ = LostPeersReport{
        .view = view_.view,
        .sentence = absl::StrCat("shard ", self_, " cannot rebuild its classes up to step ", view_.state.step)};
  }
  lost_->shards.push_back(peer);
  absl::StrAppend(&lost_->sentence, ", shard ", peer, ": ", why);
  ++next_peer_;
}

}  // namespace arcshard::shard
