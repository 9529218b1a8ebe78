#include "coordinator/service/reporter.h"

#include <algorithm>
#include <optional>

#include "common/io/log.h"

namespace arcshard::coordinator {
namespace {

constexpr absl::Duration kLeastBetweenLines = absl::Seconds(1);
constexpr absl::Duration kMostBetweenLines = absl::Seconds(10);
constexpr int64_t kLinesAtFirst = 100;  // about, before there is one in kMostBetweenLines
constexpr Phase kPhases[] = {Phase::kGathering, Phase::kJoining,  Phase::kTraining, Phase::kEvaluating,
                             Phase::kStopping,  Phase::kFinished, Phase::kFailed,   Phase::kRecovering};

// The label of a metric.
absl::string_view NameOf(Phase phase) {
  switch (phase) {
    case Phase::kGathering:
    case Phase::kJoining:
      return "waiting";
    case Phase::kTraining:
      return "training";
    case Phase::kEvaluating:
      return "verifying";
    case Phase::kStopping:
      return "stopping";
    case Phase::kFinished:
      return "finished";
    case Phase::kFailed:
      return "failed";
    case Phase::kRecovering:
      return "recovering";
  }
  return "";
}

absl::string_view NameOf(LostRole role) {
  switch (role) {
    case LostRole::kShard:
      return kShardRole;
    case LostRole::kWorker:
      return kWorkerRole;
    case LostRole::kCoordinator:
      return kCoordinatorRole;
  }
  return "";
}

}  // namespace

bool Reporter::WorthALine(const Progress& progress) {
  const MonotonicTime now = clock_->Now();
  if (progress.phase == Phase::kFailed) return false;  // main logs that sentence as its last
  const bool news = progress.phase != last_phase_ || progress.waiting_for != last_waiting_for_;
  const bool last_step = progress.steps > 0 && progress.step == progress.steps && progress.step != last_step_;
  if (!news && !last_step && now < next_line_) return false;
  last_phase_ = progress.phase;
  last_waiting_for_ = progress.waiting_for;
  last_step_ = progress.step;
  next_line_ = now + std::clamp((now - started_) / kLinesAtFirst, kLeastBetweenLines, kMostBetweenLines);
  return true;
}

void Reporter::Report(const Progress& progress) {
  metrics_->learning_rate.Set(progress.lr);
  metrics_->epoch.Set(progress.epoch);
  metrics_->loss.Set(progress.loss);
  metrics_->target_cosine.Set(progress.target_cosine);
  metrics_->samples_per_second.Set(progress.samples_per_second);
  metrics_->remaining.Set(progress.eta_seconds);
  metrics_->step.Set(static_cast<double>(progress.step));
  metrics_->planned_steps.Set(static_cast<double>(progress.steps));
  metrics_->recoverable.Set(progress.recoverable ? 1 : 0);
  metrics_->lost_steps.Increment(static_cast<double>(progress.lost_steps - last_lost_steps_));
  last_lost_steps_ = progress.lost_steps;
  for (const Phase phase : kPhases) metrics_->phase.With(NameOf(phase)).Set(0);
  metrics_->phase.With(NameOf(progress.phase)).Set(1);
  if (progress.verification_step != last_verification_) {
    last_verification_ = progress.verification_step;
    for (const VerificationReport& set : progress.verification) {
      metrics_->verification_accuracy.With(set.name).Set(set.accuracy);
      if (!set.accept_rates.empty()) metrics_->verification_tar.With(set.name).Set(set.accept_rates.front().tar);
    }
  }
  TracePhase(progress.phase);
  if (!WorthALine(progress)) return;
  if (progress.phase == Phase::kGathering) {
    CameOrWent(DescribeProgress(progress));  // somebody has, or it is the first line
  } else {
    LogInfo(DescribeProgress(progress));
  }
}

void Reporter::TracePhase(Phase phase) {
  if (phase != Phase::kTraining) last_decision_.reset();
  if (phase_ == phase) return;
  const MonotonicTime now = clock_->Now();
  if (phase_.has_value()) phases_.Add(NameOf(*phase_), phase_began_, now);
  phase_ = phase;
  phase_began_ = now;
}

void Reporter::Note(const std::string& sentence) { LogInfo(sentence); }

void Reporter::CameOrWent(const std::string& sentence) {
  const std::optional<std::string> line = gathering_lines_.Line(sentence, clock_->Now());
  if (line.has_value()) LogInfo(*line);
}

void Reporter::ViewFormed(const ViewAnnouncement& view) {
  metrics_->incarnation.Set(static_cast<double>(view.view.incarnation));
  metrics_->view.Set(static_cast<double>(view.view.counter));
  metrics_->members.With(kShardRole).Set(static_cast<double>(view.shards.size()));
  metrics_->members.With(kWorkerRole).Set(static_cast<double>(view.workers.size()));
}

void Reporter::StepDecided(const StepSummary& step) {
  const bool commit = step.outcome == Outcome::kCommit;
  metrics_->steps.With(commit ? kCommitted : kSkipped).Increment();
  if (commit) metrics_->samples.Increment(static_cast<double>(step.samples));
  const MonotonicTime now = clock_->Now();
  decision_.Observe(now - step.gathered_votes_for, now, {.step = step.step});
  if (last_decision_.has_value()) steps_.Add("step", *last_decision_, now, {.step = step.step});
  last_decision_ = now;
}

void Reporter::CheckpointSettled(const CheckpointSummary& checkpoint) {
  metrics_->checkpoints.With(checkpoint.status.ok() ? kCheckpointComplete : kCheckpointFailed).Increment();
  if (!checkpoint.status.ok()) return;
  metrics_->checkpoint_timestamp.Set(absl::ToDoubleSeconds(clock_->WallTime() - absl::UnixEpoch()));
  metrics_->checkpoint_step.Set(static_cast<double>(checkpoint.step));
  metrics_->checkpoint_bytes.Set(static_cast<double>(checkpoint.bytes));
  metrics_->checkpoint_duration.Observe(absl::ToDoubleSeconds(checkpoint.took));
  const TraceRow row(metrics_->tracer, "checkpoint");
  row.Add("checkpoint", row.Now() - checkpoint.took, row.Now(), {.step = checkpoint.step, .bytes = checkpoint.bytes});
}

void Reporter::Recovered(const RecoverySummary& recovery) {
  for (const LostMember& lost : recovery.lost) metrics_->recoveries.With(NameOf(lost.role)).Increment();
  if (!recovery.lost.empty()) metrics_->recovery.Observe(absl::ToDoubleSeconds(recovery.took));
}

}  // namespace arcshard::coordinator
