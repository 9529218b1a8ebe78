#pragma once

#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/metrics/metric_list.h"
#include "coordinator/run/progress.h"

namespace arcshard::coordinator {

// Tells people and Prometheus how the run goes: a log line for every change of phase and event, one for decisions at
// most once a second, and the coordinator's metrics. Not thread-safe: Run's lock guards it.
class Reporter final : public ProgressSink {
 public:
  // Both outlive it.
  Reporter(const Clock* clock, CoordinatorMetrics* metrics) : clock_(clock), metrics_(metrics) {}

  void Report(const Progress& progress) override;
  void Note(const std::string& sentence) override;
  void ViewFormed(const ViewAnnouncement& view) override;
  void StepDecided(const StepSummary& step) override;
  void CheckpointSettled(const CheckpointSummary& checkpoint) override;

  // Whether a report deserves a line of its own, after those before it.
  bool WorthALine(const Progress& progress);

 private:
  const Clock* const clock_;
  CoordinatorMetrics* const metrics_;
  Phase last_phase_ = Phase::kFailed;
  std::string last_waiting_for_;
  uint64_t last_verification_ = 0;  // the step of the last one shown
  absl::Time next_line_ = absl::InfinitePast();
};

}  // namespace arcshard::coordinator
