#pragma once

#include <initializer_list>

#include "absl/strings/string_view.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/messages.h"

namespace arcshard {

// The statistics that a process reports in its heartbeats: its resident memory, and the sums of `phases` (names of
// metric_list.h) in its metrics. Thread-safe.
ParticipantStats StatsOf(ProcessMetrics* metrics, std::initializer_list<absl::string_view> phases);

}  // namespace arcshard
