#include "coordinator/reporter.h"

#include "common/io/log.h"

namespace arcshard::coordinator {
namespace {

constexpr absl::Duration kBetweenLines = absl::Seconds(1);

}  // namespace

bool Reporter::WorthALine(const Progress& progress) {
  const absl::Time now = clock_->Now();
  if (progress.phase == Phase::kFailed) return false;  // main ends with that sentence
  const bool news = progress.phase != last_phase_ || progress.waiting_for != last_waiting_for_;
  const bool last_step = progress.steps > 0 && progress.step == progress.steps;
  if (!news && !last_step && now < next_line_) return false;
  last_phase_ = progress.phase;
  last_waiting_for_ = progress.waiting_for;
  next_line_ = now + kBetweenLines;
  return true;
}

void Reporter::Report(const Progress& progress) {
  metrics_->learning_rate.Set(progress.lr);
  metrics_->epoch.Set(progress.epoch);
  metrics_->loss.Set(progress.loss);
  metrics_->target_cosine.Set(progress.target_cosine);
  metrics_->samples_per_second.Set(progress.samples_per_second);
  if (WorthALine(progress)) LogInfo(DescribeProgress(progress));
}

void Reporter::Note(const std::string& sentence) { LogInfo(sentence); }

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
  metrics_->step_phase.With(kDecision).Observe(absl::ToDoubleSeconds(step.gathered_votes_for));
}

}  // namespace arcshard::coordinator
