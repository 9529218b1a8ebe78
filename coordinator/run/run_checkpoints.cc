#include <algorithm>
#include <cassert>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/run/run.h"

// How a run takes checkpoints and resumes from one. checkpoints.h decides when one is due and who owes a part of it.
namespace arcshard::coordinator {

// --- From a checkpoint

void Run::ResumeFrom(const ResumePoint& resume) {
  assert(at_.step() == 0);
  const CheckpointBase& base = checkpoints_.base();
  at_ = {base.point, std::nullopt, base.counters};
  progress_.resumed_step = at_.step();
  progress_.epoch = base.epoch;
  Emit(Note{absl::StrCat("resumes after step ", at_.step(), ", from ", resume.folder)});
}

// --- New ones

void Run::BeginCheckpoint(const FormedView& view) {
  const View& number = view.announcement.view;
  Manifest manifest;
  manifest.step = at_.step();
  manifest.lineage = at_.point.lineage;
  manifest.incarnation = number.incarnation;
  manifest.view_counter = number.counter;
  manifest.num_classes = view.announcement.num_classes;
  manifest.embedding_size = options_.config.backbone.embedding_size;
  manifest.data = view.data;
  manifest.config_yaml = options_.config_yaml;
  manifest.version = options_.version;
  manifest.created = absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", clock_->WallTime(), absl::UTCTimeZone());
  manifest.epoch = view.plan.EpochsAfter(at_.step());
  Keep(at_.counters, &manifest);
  std::set<Seat> parts = {members_.LowestWorker(number)->seat()};  // of the workers' common state
  for (const ShardMember& shard : view.announcement.shards) parts.insert({Role::kShard, shard.id});
  checkpoints_.Begin(std::move(manifest), number, std::move(parts), clock_->Now());
}

// A report counts for the checkpoint that it was asked for, whatever the view is by now. If that has failed meanwhile,
// because of a loss, the report comes to nothing.
absl::Status Run::Handle(Connection from, const CheckpointReport& report) {
  const Member& member = members_.At(from);
  if (!checkpoints_.Awaits(member.seat(), report.step, report.view)) {
    ASSIGN_OR_RETURN(const bool current, IsCurrent(from, report.view, "CheckpointReport"));
    if (!current) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("reported a checkpoint of step ", report.step, ", which it was not asked for"));
  }
  RETURN_IF_ERROR(checkpoints_.Add(member.seat(), member.Name(), report, clock_->Now()));
  if (!BaseIsInUse()) SettleCheckpoints();
  EndIfAllIsDone();
  return absl::OkStatus();
}

void Run::CheckpointKept(uint64_t step, const absl::Status& status) {
  if (std::holds_alternative<Ended>(state_)) return;  // it is on the disk, but there is nobody left to tell
  kept_.emplace_back(step, status);
  if (!BaseIsInUse()) SettleCheckpoints();
  CheckpointDuringEvaluation();  // one that became due waited for this one
  EndIfAllIsDone();
}

// Members that are joining may be restoring their view's base, or replay from there: it stays the base until they have
// joined. They go on with it when their view loses others.
bool Run::BaseIsInUse() const {
  if (std::holds_alternative<Joining>(state_)) return true;
  return std::any_of(members_.all().begin(), members_.all().end(), [this](const auto& entry) {
    const Member& member = entry.second;
    return TakesPart(member) && !member.held->whole;
  });
}

// What has become of checkpoints takes effect, and the members learn of it.
void Run::SettleCheckpoints() {
  for (const auto& [step, status] : std::exchange(kept_, {})) {
    checkpoints_.Kept(step, status, clock_->Now());
  }
  for (const CheckpointSettled& settled : checkpoints_.TakeSettled()) {
    Broadcast(settled);
    superseded_ = superseded_ || settled.complete;
  }
  DeleteSupersededCheckpoints();
}

// While one is in progress the keeper may already have completed it, and would then delete base().
void Run::DeleteSupersededCheckpoints() {
  if (!superseded_ || BaseIsInUse() || checkpoints_.in_progress()) return;
  superseded_ = false;
  Emit(DeleteSuperseded());
}

// An evaluation may take longer than the time between two checkpoints, and changes nothing.
void Run::CheckpointDuringEvaluation() {
  const auto* const evaluating = std::get_if<Evaluating>(&state_);
  if (evaluating == nullptr || !checkpoints_.Due(at_.step(), {}, clock_->Now())) return;
  const SharedView view = evaluating->view;
  Broadcast(Proceed{view->announcement.view, Next{NextAction::kEvaluate, {}, true}, at_.counters});
  BeginCheckpoint(*view);
  ReportProgress();
}

void Run::TakeCheckpoint(CheckpointAnswer answer) {
  if (const auto* const ended = std::get_if<Ended>(&state_)) {
    Emit(AnswerCheckpoint{std::move(answer), ended->Refusal()});
  } else if (std::holds_alternative<Training>(state_)) {
    checkpoints_.Request(at_.step() + 1, std::move(answer));
  } else if (PhaseOf(state_) == Phase::kEvaluating || PhaseOf(state_) == Phase::kRecovering) {
    checkpoints_.Request(at_.step(), std::move(answer));  // while the run recovers, once it goes on
    CheckpointDuringEvaluation();
  } else {
    const std::string sentence = absl::StrCat("no checkpoint can be taken ", DescribeWhen(state_, at_.step()));
    Emit(AnswerCheckpoint{std::move(answer), absl::FailedPreconditionError(sentence)});
  }
}

}  // namespace arcshard::coordinator
