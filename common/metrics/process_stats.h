#pragma once

#include <initializer_list>

#include "absl/strings/string_view.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/messages.h"

namespace arcshard {

// What a process says of itself in its heartbeats: its resident memory, and what `phases` (names of metric_list.h)
// have summed up in its metrics. Thread-safe.
ParticipantStats StatsOf(ProcessMetrics* metrics, std::initializer_list<absl::string_view> phases);

}  // namespace arcshard
