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

Checkpoints::Options Run::CheckpointOptions(const Options& options, const Clock& clock) {
  Checkpoints::Options made = {.enabled = options.takes_checkpoints,
                               .config = options.config.checkpoint,
                               .run_folder = options.config.run.folder,
                               .incarnation = options.incarnation};
  if (options.resume.has_value()) {
    const Manifest& manifest = options.resume->manifest;
    made.resumed = CheckpointTaken{manifest.step, options.resume->folder};
    absl::Time created;
    std::string error;  // ignored: a time that cannot be parsed counts as none
    if (absl::ParseTime(absl::RFC3339_full, manifest.created, &created, &error)) {
      // The date may have been set back since then.
      made.resumed_at = clock.Now() - std::max(clock.WallTime() - created, absl::ZeroDuration());
    }
  }
  return made;
}

void Run::ResumeFrom(const ResumePoint& resume) {
  assert(step_ == 0);
  step_ = progress_.resumed_step = resume.manifest.step;
  progress_.epoch = resume.manifest.epoch;
  counters_ = RunCounters::FromManifest(resume.manifest);
  Emit(Note{absl::StrCat("resumes after step ", step_, ", from ", resume.folder)});
}

// --- New ones

void Run::BeginCheckpoint(const FormedView& view) {
  Manifest manifest;
  manifest.step = step_;
  manifest.incarnation = options_.incarnation;
  manifest.num_classes = view.announcement.num_classes;
  manifest.embedding_size = options_.config.backbone.embedding_size;
  manifest.data = view.data;
  manifest.config_yaml = options_.config_yaml;
  manifest.version = options_.version;
  manifest.created = absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", clock_->WallTime(), absl::UTCTimeZone());
  manifest.epoch = view.plan.EpochsAfter(step_);
  counters_.ToManifest(&manifest);
  const Member* const writer = members_.LowestWorker();  // of the workers' common state
  std::set<Connection> parts;
  for (const auto& [connection, member] : members_.all()) {
    if (member.registration.role == Role::kShard || &member == writer) parts.insert(connection);
  }
  checkpoints_.Begin(std::move(manifest), std::move(parts), clock_->Now());
}

absl::Status Run::Handle(Connection from, const CheckpointReport& report) {
  RETURN_IF_ERROR(CheckView(report.view, "CheckpointReport"));
  RETURN_IF_ERROR(checkpoints_.Add(from, members_.At(from).Name(), report, clock_->Now()));
  EndIfAllIsDone();
  return absl::OkStatus();
}

void Run::CheckpointKept(uint64_t step, const absl::Status& status) {
  if (std::holds_alternative<Ended>(state_)) return;  // it is on the disk, but there is nobody left to tell
  checkpoints_.Kept(step, status, clock_->Now());
  CheckpointDuringEvaluation();  // one that became due waited for this one
  EndIfAllIsDone();
}

// An evaluation may take longer than the time between two checkpoints, and changes nothing.
void Run::CheckpointDuringEvaluation() {
  const auto* const evaluating = std::get_if<Evaluating>(&state_);
  if (evaluating == nullptr || !checkpoints_.Due(step_, false, false, clock_->Now())) return;
  const SharedView view = evaluating->view;
  Broadcast(Proceed{view->announcement.view, Next{NextAction::kEvaluate, {}, true}});
  BeginCheckpoint(*view);
  ReportProgress();
}

void Run::TakeCheckpoint(CheckpointAnswer answer) {
  if (const auto* const ended = std::get_if<Ended>(&state_)) {
    Emit(AnswerCheckpoint{std::move(answer), ended->Refusal()});
  } else if (std::holds_alternative<Training>(state_)) {
    checkpoints_.Request(step_ + 1, std::move(answer));
  } else if (std::holds_alternative<Evaluating>(state_)) {
    checkpoints_.Request(step_, std::move(answer));
    CheckpointDuringEvaluation();
  } else {
    const std::string sentence = absl::StrCat("no checkpoint can be taken ", DescribeWhen(state_, step_));
    Emit(AnswerCheckpoint{std::move(answer), absl::FailedPreconditionError(sentence)});
  }
}

}  // namespace arcshard::coordinator
