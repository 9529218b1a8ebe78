#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "coordinator/run/run.h"

// A run's checkpoints, and how it goes on from one. When and who is checkpoints.h's.
namespace arcshard::coordinator {

// --- From a checkpoint

Checkpoints::Options Run::CheckpointOptions(const Options& options) {
  Checkpoints::Options made = {
      .config = options.config.checkpoint, .run_folder = options.config.run.folder, .incarnation = options.incarnation};
  if (options.resume.has_value()) {
    const Manifest& manifest = options.resume->manifest;
    made.resumed = CheckpointTaken{manifest.step, options.resume->folder};
    std::string error;  // a time that cannot be read is as good as none
    absl::ParseTime(absl::RFC3339_full, manifest.created, &made.resumed_from_time, &error);
  }
  return made;
}

void Run::ContinueFrom(const Manifest& manifest) {
  step_ = manifest.step;
  skips_in_a_row_ = static_cast<uint32_t>(manifest.skips_in_a_row);
  corrupt_in_epoch_ = manifest.corrupt_in_epoch;
  progress_.step = progress_.resumed_step = manifest.step;
  progress_.epoch = manifest.epoch;
  progress_.skipped = manifest.skipped;
  progress_.corrupt_records = manifest.corrupt_records;
  progress_.best_accuracy = manifest.best_accuracy;
  progress_.best_step = manifest.best_step;
  sink_->Note(absl::StrCat("goes on after step ", manifest.step, ", from ", options_.resume->folder));
}

absl::Status Run::CheckResumed(const DatasetReport& data, int64_t num_classes) const {
  if (!options_.resume.has_value()) return absl::OkStatus();
  const Manifest& manifest = options_.resume->manifest;
  const std::string& folder = options_.resume->folder;
  const auto differs = [&](absl::string_view what, auto here, auto there) {
    return absl::FailedPreconditionError(absl::StrCat("the run cannot go on: data.train has ", here, " ", what,
                                                      ", but had ", there, " when ", folder,
                                                      " was made; init_from.checkpoint starts a new run from it"));
  };
  if (data.samples != manifest.data.samples) return differs("samples", data.samples, manifest.data.samples);
  if (num_classes != manifest.num_classes) return differs("classes (head.classes)", num_classes, manifest.num_classes);
  if (data.fingerprint != manifest.data.fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrFormat("the run cannot go on: data.train is not what it was when %s was made (its index has the "
                        "fingerprint %016x, and had %016x); init_from.checkpoint starts a new run from it",
                        folder, data.fingerprint, manifest.data.fingerprint));
  }
  if (manifest.step > plan_->total_steps()) {
    return absl::FailedPreconditionError(absl::StrCat("the run cannot go on: ", folder, " is of step ", manifest.step,
                                                      ", but with schedule.epochs ", options_.config.schedule.epochs,
                                                      " the run has only ", plan_->total_steps(), " steps"));
  }
  if (manifest.step == plan_->total_steps()) {
    sink_->Note(absl::StrCat("all ", manifest.step, " steps are done: nothing is left to train (a larger ",
                             "schedule.epochs makes the run longer)"));
  }
  return absl::OkStatus();
}

absl::Status Run::WithAWayOut(const absl::Status& failure) const {
  if (DetailsOf(failure).cause != FailureCause::kCheckpointUnreadable) return failure;
  return WithDetails(absl::Status(failure.code(), absl::StrCat(failure.message(),
                                                               "; --allow-older goes on from the newest checkpoint "
                                                               "that is whole")),
                     DetailsOf(failure));
}

// --- New ones

void Run::BeginCheckpoint() {
  const absl::Time now = clock_->Now();
  Manifest manifest;
  manifest.step = step_;
  manifest.incarnation = options_.incarnation;
  manifest.num_classes = num_classes_;
  manifest.embedding_size = options_.config.backbone.embedding_size;
  manifest.data = *LowestWorker()->data;
  manifest.config_yaml = options_.config_yaml;
  manifest.version = options_.version;
  manifest.created = absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", now, absl::UTCTimeZone());
  manifest.epoch = plan_->EpochsAfter(step_);
  manifest.skipped = progress_.skipped;
  manifest.skips_in_a_row = skips_in_a_row_;
  manifest.corrupt_records = progress_.corrupt_records;
  manifest.corrupt_in_epoch = corrupt_in_epoch_;
  manifest.best_accuracy = progress_.best_accuracy;
  manifest.best_step = progress_.best_step;
  std::set<Connection> parts;
  for (const auto& [connection, member] : members_) {
    if (member.registration.role == Role::kShard || &member == LowestWorker()) parts.insert(connection);
  }
  checkpoints_.Begin(std::move(manifest), std::move(parts), now);
}

absl::Status Run::Handle(Connection from, const CheckpointReport& report) {
  RETURN_IF_ERROR(CheckView(report.view, "CheckpointReport"));
  RETURN_IF_ERROR(checkpoints_.Add(from, members_.at(from).Name(), report, clock_->Now()));
  EndIfAllIsDone();
  return absl::OkStatus();
}

void Run::CheckpointKept(uint64_t step, const absl::Status& status) {
  if (result_.has_value()) return;  // it is on the disk all the same
  checkpoints_.Kept(step, status, clock_->Now());
  EndIfAllIsDone();
}

void Run::TakeCheckpoint(Checkpoints::Answer answer) {
  if (result_.has_value()) {
    answer(absl::AbortedError(result_->ok() ? "the run has ended" : result_->message()));
  } else if (phase_ == Phase::kTraining || phase_ == Phase::kEvaluating) {
    checkpoints_.Request(phase_ == Phase::kTraining ? step_ + 1 : step_, std::move(answer));
  } else {
    answer(absl::FailedPreconditionError(absl::StrCat("no checkpoint can be taken ", Whereabouts())));
  }
}

}  // namespace arcshard::coordinator
