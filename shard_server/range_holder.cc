#include "shard_server/range_holder.h"

#include <cassert>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/run_fence.h"
#include "common/config/compute_fingerprint.h"
#include "common/io/log.h"
#include "shard_server/checkpoint/class_centers.h"

namespace arcshard::shard {
namespace {

const ShardMember* Find(const ViewAnnouncement& view, uint32_t id) {
  for (const ShardMember& shard : view.shards) {
    if (shard.id == id) return &shard;
  }
  return nullptr;
}

}  // namespace

RangeHolder::RangeHolder(Options options)
    : options_(std::move(options)),
      metrics_(options_.range.metrics),
      row_(metrics_->tracer, kExecutorRow),
      state_(options_.state, static_cast<ShardOutput*>(this)),
      replay_(
          {.security = options_.security,
           .metrics = metrics_,
           .on_record =
               [this](const View& view, std::shared_ptr<const ReplayRecord> record) {
                 return state_.Record(view, std::move(record));
               },
           .on_ended = [this](const View& view, const absl::Status& status) { state_.ReplayEnded(view, status); }}) {
  const RunConfig& config = *options_.range.config;
  if (!config.run.record) return;
  records_ = std::make_unique<RecordKeeper>(RecordKeeper::Options{.files = options_.range.files,
                                                                  .run_folder = config.run.folder,
                                                                  .configuration = ComputeFingerprint(config),
                                                                  .shard = options_.state.id});
}

RangeHolder::~RangeHolder() {
  if (range_ != nullptr) range_->GiveUpCheckpoint();  // the executor's update may wait for the disk
}

bool RangeHolder::Fits(const ViewAnnouncement& view) const {
  const ShardMember* const self = Find(view, options_.state.id);
  if (range_ == nullptr || self == nullptr) return true;
  const head::HeadOptions& held = range_->head()->options();
  return held.num_classes == view.num_classes && held.range == self->range;
}

absl::Status RangeHolder::Join(const ViewAnnouncement& view) {
  const ShardMember* const self = Find(view, options_.state.id);
  if (self == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(ToString(view.view), " does not name shard ", options_.state.id));
  }
  if (range_ == nullptr) {
    ASSIGN_OR_RETURN(range_, HeldRange::Create(options_.range, view, self->range));
  }
  if (records_ != nullptr) RETURN_IF_ERROR(records_->Enter(view));
  RETURN_IF_ERROR(state_.JoinView(view, range_->head()));
  if (executor_ == nullptr) {
    executor_ = std::make_unique<Executor>(
        &state_, [this](const absl::Status& why) { Fail(why); }, ExecutorTrace(metrics_->tracer));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> RangeHolder::Finish(const View& view) {
  executor_.reset();
  {
    MutexLock lock(&mutex_);
    RETURN_IF_ERROR(failure_);
  }
  if (records_ != nullptr) RETURN_IF_ERROR(records_->Flush());
  range_->AwaitCheckpoint();  // its report has to be sent before Finished
  FileSystem* const files = options_.range.files;
  const std::string& run_folder = options_.range.config->run.folder;
  const absl::Status saved = SaveClassCenters(files, run_folder, view, *range_->head());
  if (saved.ok()) return true;
  if (!absl::IsFailedPrecondition(CheckIncarnation(files, run_folder, view))) return saved;
  LogInfo(absl::StrCat(saved.message(), "; this shard writes nothing and waits for the new coordinator"));
  return false;
}

void RangeHolder::Fail(const absl::Status& status) {
  {
    MutexLock lock(&mutex_);
    failure_ = status;
  }
  options_.on_failure(status);
}

void RangeHolder::SendStatistics(uint32_t worker, const Key& key, const PartialStatistics& statistics) {
  const TraceSpan span(row_, "send", {.step = key.step, .micro_batch = key.micro_batch});
  options_.service->SendStatistics(worker, key, statistics);
}

void RangeHolder::Refuse(uint32_t worker, const Key&, const absl::Status& why) {
  options_.service->Refuse(worker, why);
}

void RangeHolder::VoteReady(const ReadyVote& vote) { options_.tell(vote); }

void RangeHolder::TakeCheckpoint(const View& view, uint64_t step) {
  // Who goes on from this checkpoint does not come by the records before it again.
  const absl::Status kept = records_ == nullptr ? absl::OkStatus() : records_->Flush();
  if (kept.ok()) return range_->BeginCheckpoint(view, step);
  // The next step, or Finish, ends this process with the error.
  options_.range.report({.view = view, .step = step, .status = kept});
}

absl::Status RangeHolder::CarriedOut(const std::shared_ptr<const ReplayRecord>& record) {
  if (records_ == nullptr) return absl::OkStatus();
  const TraceSpan span(row_, "record", {.step = record->plan.step});
  return records_->Add(record);
}

void RangeHolder::Applied(uint64_t, Outcome outcome) {
  metrics_->steps.With(outcome == Outcome::kCommit ? kCommitted : kSkipped).Increment();
}

absl::Status RangeHolder::RestoreBase(const ViewAnnouncement& view) {
  RETURN_IF_ERROR(range_->Restore(view));
  if (records_ != nullptr) records_->Restored(view.base);
  return absl::OkStatus();
}

void RangeHolder::RequestReplay(const ViewAnnouncement& view, uint32_t peer, const StatePoint& after, uint64_t until) {
  const ShardMember* const asked = Find(view, peer);
  const ShardMember* const self = Find(view, options_.state.id);
  assert(asked != nullptr && self != nullptr);
  LogInfo(absl::StrCat("asks shard ", peer, " at ", asked->address, " for the steps ", after.step + 1, " to ", until,
                       " of its log"));
  replay_.Begin({.view = view.view,
                 .shard = options_.state.id,
                 .token = self->token,
                 .peer = peer,
                 .address = asked->address,
                 .after = after,
                 .until = until,
                 .limits = {options_.state.dim, options_.state.batch_size, view.num_classes}});
}

void RangeHolder::Replayed(const StatePoint& after) {
  metrics_->replayed_steps.Increment();
  replay_.Applied(after.step);
}

void RangeHolder::Joined(const JoinedReport& report) {
  // The first view of an incarnation is a start, after which nobody asks how long it took.
  if (report.rebuilt_in_seconds > 0 && report.view.counter > 1) metrics_->recovery.Observe(report.rebuilt_in_seconds);
  if (report.replayed_steps > 0) {
    LogInfo(
        absl::StrCat("brought its classes to the state after step ", report.state.step, " in ",
                     absl::FormatDuration(absl::Trunc(absl::Seconds(report.rebuilt_in_seconds), absl::Milliseconds(1))),
                     ", with ", report.replayed_steps, " replayed steps"));
  }
  options_.service->Joined(report.view);
  options_.tell(report);
}

void RangeHolder::LostPeers(const LostPeersReport& report) {
  LogInfo(report.sentence);
  options_.tell(report);
}

}  // namespace arcshard::shard
