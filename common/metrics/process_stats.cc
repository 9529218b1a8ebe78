#include "common/metrics/process_stats.h"

#include "common/base/this_process.h"

namespace arcshard {

ParticipantStats StatsOf(ProcessMetrics* metrics, std::initializer_list<absl::string_view> phases) {
  ParticipantStats stats = {.resident_bytes = ResidentBytes()};
  for (const absl::string_view name : phases) {
    const prometheus::ClientMetric::Histogram sums = metrics->step_phase.With(name).Collect().histogram;
    stats.phases.push_back({.name = std::string(name), .count = sums.sample_count, .seconds = sums.sample_sum});
  }
  return stats;
}

}  // namespace arcshard
