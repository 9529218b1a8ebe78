#pragma once

#include <string>

#include "common/protocol/run_counters.h"
#include "common/protocol/types.h"
#include "coordinator/policy/resume.h"

namespace arcshard::coordinator {

// A complete checkpoint, and what the run has to know to go back to it; without a folder, the first weights.
struct CheckpointBase {
  StatePoint point = {};
  std::string folder = {};
  RunCounters counters = {};
  double epoch = 0.0;  // fractional

  static CheckpointBase Of(const std::string& folder, const Manifest& manifest) {
    return {{manifest.step, manifest.lineage}, folder, CountersOf(manifest), manifest.epoch};
  }
};

}  // namespace arcshard::coordinator
