#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/metrics/metric_list.h"
#include "common/metrics/phase.h"
#include "common/trace/trace_row.h"
#include "coordinator/progress/progress.h"
#include "coordinator/service/line_budget.h"

namespace arcshard::coordinator {

// Reports the run's progress to the log, and to the coordinator's metrics and trace. The log gets a line for every
// change of phase and every event, and lines about decided steps: one a second at first, later fewer, after a quarter
// of an hour one in 10 s. While the run gathers, a stranger may come and go as often as it likes, so the lines of that
// time have a budget that a run's own members do not use up. Not thread-safe; the session's lock guards it.
class Reporter final : public ProgressSink {
 public:
  // Lines of the time while the run gathers, at once: so many, and so many for each member. One that registers and
  // leaves again has four.
  static constexpr int kGatheringLines = 20;
  static constexpr int kGatheringLinesOfAMember = 8;

  // `clock` and `metrics` outlive it. members: how many the run is to have.
  Reporter(const Clock* clock, CoordinatorMetrics* metrics, uint32_t members)
      : clock_(clock),
        metrics_(metrics),
        started_(clock->Now()),
        steps_(metrics->tracer, "steps"),
        phases_(metrics->tracer, "run"),
        decision_(metrics, kDecision, steps_),
        phase_began_(started_),
        gathering_lines_(kGatheringLines + kGatheringLinesOfAMember * static_cast<int>(members), started_) {}

  void Report(const Progress& progress) override;
  void Note(const std::string& sentence) override;
  void CameOrWent(const std::string& sentence) override;
  void ViewFormed(const ViewAnnouncement& view) override;
  void StepDecided(const StepSummary& step) override;
  void CheckpointSettled(const CheckpointSummary& checkpoint) override;
  void Recovered(const RecoverySummary& recovery) override;

  // Whether the log gets a line about this report, given the reports before it.
  bool WorthALine(const Progress& progress);

 private:
  // Shows in the trace which phase has ended.
  void TracePhase(Phase phase);

  const Clock* const clock_;
  CoordinatorMetrics* const metrics_;
  const MonotonicTime started_;
  const TraceRow steps_, phases_;
  StepPhase decision_;
  std::optional<MonotonicTime> last_decision_;  // while the run trains
  std::optional<Phase> phase_;                  // of the last report
  MonotonicTime phase_began_;
  LineBudget gathering_lines_;
  Phase last_phase_ = Phase::kFailed;
  std::string last_waiting_for_;
  uint64_t last_step_ = 0;
  uint64_t last_verification_ = 0;  // the step of the last one shown
  uint64_t last_lost_steps_ = 0;    // as counted
  MonotonicTime next_line_ = MonotonicTime::InfinitePast();
};

}  // namespace arcshard::coordinator
