#pragma once

#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/metrics/metric_list.h"
#include "coordinator/run/progress.h"

namespace arcshard::coordinator {

// Reports the run's progress to the log and to the coordinator's metrics. The log gets a line for every change of phase
// and every event, and lines about decided steps: one a second at first, later fewer, after a quarter of an hour one in
// 10 s. Not thread-safe; the session's lock guards it.
class Reporter final : public ProgressSink {
 public:
  // Both outlive it.
  Reporter(const Clock* clock, CoordinatorMetrics* metrics)
      : clock_(clock), metrics_(metrics), started_(clock->Now()) {}

  void Report(const Progress& progress) override;
  void Note(const std::string& sentence) override;
  void ViewFormed(const ViewAnnouncement& view) override;
  void StepDecided(const StepSummary& step) override;
  void CheckpointSettled(const CheckpointSummary& checkpoint) override;

  // Whether the log gets a line about this report, given the reports before it.
  bool WorthALine(const Progress& progress);

 private:
  const Clock* const clock_;
  CoordinatorMetrics* const metrics_;
  const MonotonicTime started_;
  Phase last_phase_ = Phase::kFailed;
  std::string last_waiting_for_;
  uint64_t last_step_ = 0;
  uint64_t last_verification_ = 0;  // the step of the last one shown
  MonotonicTime next_line_ = MonotonicTime::InfinitePast();
};

}  // namespace arcshard::coordinator
