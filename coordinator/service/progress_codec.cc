#include "coordinator/service/progress_codec.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/rpc/convert/convert_reports.h"

namespace arcshard::coordinator {
namespace {

v1::Progress::Phase ToProto(Phase phase) {
  switch (phase) {
    case Phase::kGathering:
      return v1::Progress::PHASE_GATHERING;
    case Phase::kJoining:
      return v1::Progress::PHASE_JOINING;
    case Phase::kTraining:
      return v1::Progress::PHASE_TRAINING;
    case Phase::kEvaluating:
      return v1::Progress::PHASE_EVALUATING;
    case Phase::kStopping:
      return v1::Progress::PHASE_STOPPING;
    case Phase::kFinished:
      return v1::Progress::PHASE_FINISHED;
    case Phase::kFailed:
      return v1::Progress::PHASE_FAILED;
    case Phase::kRecovering:
      return v1::Progress::PHASE_RECOVERING;
  }
  return v1::Progress::PHASE_UNSPECIFIED;
}

// "shard 1 was lost at step 17: stream broken; waiting for 1 of 2 shards"
std::string WaitingFor(const Progress& progress) {
  const absl::string_view separator = progress.losses.empty() || progress.waiting_for.empty() ? "" : "; ";
  return absl::StrCat(progress.losses, separator, progress.waiting_for);
}

}  // namespace

v1::Progress ToProto(const Progress& progress) {
  v1::Progress out;
  out.set_phase(ToProto(progress.phase));
  out.set_waiting_for(WaitingFor(progress));
  out.set_step(progress.step);
  out.set_steps(progress.steps);
  out.set_epoch(progress.epoch);
  out.set_epochs(progress.epochs);
  out.set_loss(progress.loss);
  out.set_target_cosine(progress.target_cosine);
  out.set_lr(progress.lr);
  out.set_samples_per_second(progress.samples_per_second);
  out.set_eta_seconds(progress.eta_seconds);
  out.set_skipped(progress.skipped);
  out.set_corrupt_records(progress.corrupt_records);
  for (const VerificationReport& report : progress.verification) *out.add_verification() = arcshard::ToProto(report);
  out.set_verification_step(progress.verification_step);
  out.set_best_accuracy(progress.best_accuracy);
  out.set_best_step(progress.best_step);
  out.set_checkpoint_step(progress.checkpoint_step);
  out.set_resumed_step(progress.resumed_step);
  out.set_checkpoint_failure(progress.checkpoint_failure);
  out.set_verification_failure(progress.verification_failure);
  out.set_verified_images(progress.verified_images);
  out.set_images_to_verify(progress.images_to_verify);
  out.set_recoveries(progress.recoveries);
  out.set_last_recovery(progress.last_recovery);
  out.set_lost_steps(progress.lost_steps);
  out.set_recoverable(progress.recoverable);
  return out;
}

}  // namespace arcshard::coordinator
