#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/local_run/local_run.h"
#include "bench/measure.h"
#include "bench/service/trace_figures.h"

namespace arcshard::bench {

struct ServiceFigures {
  StepFigures steps;
  double processor_ms = 0.0;  // of all processes' threads, a step
  // Of gRPC's messages in a step, as the mean over the shards and over the workers.
  double shard_sent_bytes = 0.0, shard_received_bytes = 0.0;
  double worker_sent_bytes = 0.0, worker_received_bytes = 0.0;
  std::vector<std::pair<std::string, ProcessMemory>> memory;  // of "shard-0" and so on, at the end
};

// Starts a run, lets it make `warmup` steps, and measures the next `steps`. `run` must have a trace, from which the
// times of the phases come. Errors as LocalRun's, and those of SpansOf and FiguresOf.
absl::StatusOr<ServiceFigures> MeasureService(const LocalRun::Options& run, uint64_t warmup, uint64_t steps);

}  // namespace arcshard::bench
