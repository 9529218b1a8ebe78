#pragma once

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/metrics/process_metrics.h"
#include "common/trace/trace_row.h"

namespace arcshard {

// A part of a step, as one thread carries it out: its seconds are observed in the metrics, and it is a span of the
// process's trace. Thread-safe.
class StepPhase {
 public:
  // name: a value of `phase` in process_metrics.h, a literal. What it is made of outlives it.
  StepPhase(ProcessMetrics* metrics, absl::string_view name, const TraceRow& row)
      : seconds_(metrics->step_phase.With(name)), name_(name), row_(row) {}

  void Observe(MonotonicTime begin, MonotonicTime end, const SpanDetails& details = {}) {
    seconds_.Observe(absl::ToDoubleSeconds(end - begin));
    row_.Add(name_, begin, end, details);
  }

 private:
  Histogram& seconds_;
  const absl::string_view name_;
  const TraceRow row_;
};

// Observes the time between its construction and its destruction.
class PhaseTimer {
 public:
  PhaseTimer(StepPhase* phase, const Clock* clock, const SpanDetails& details = {})
      : phase_(phase), clock_(clock), details_(details), begin_(clock->Now()) {}
  ~PhaseTimer() { phase_->Observe(begin_, clock_->Now(), details_); }
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  StepPhase* const phase_;
  const Clock* const clock_;
  const SpanDetails details_;
  const MonotonicTime begin_;
};

}  // namespace arcshard
