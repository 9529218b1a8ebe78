#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

// What a trace of a run says about its steps.
namespace arcshard::bench {

// A span of a trace. Times in ms, on the trace's clock.
struct TracedSpan {
  std::string process;  // "coordinator", "shard 0", "worker 1"
  std::string row;      // "executor", "training loop"
  std::string name;
  double begin = 0.0, end = 0.0;
  uint64_t step = 0;  // 0: unknown
};

// The spans of a trace of Tracer. InvalidArgument: it is none.
absl::StatusOr<std::vector<TracedSpan>> SpansOf(const nlohmann::json& trace);

// Of the steps `first` to `last`, from the decision about the step before them to the decision about the last one.
struct StepFigures {
  std::vector<double> step_ms;  // of each
  // By role and phase, such as {"worker", "forward"}: ms a step, as the mean over the processes of the role.
  std::map<std::pair<std::string, std::string>, double> phase_ms;
  double uncovered_share = 0.0;  // of the time: no shard and no worker computed
  // By role: share of the time in which a process of that role did not compute, as the mean over them.
  std::map<std::string, double> idle_share;
};

// NotFound: the trace lacks one of the steps, or all spans of a shard or worker in them.
absl::StatusOr<StepFigures> FiguresOf(const std::vector<TracedSpan>& spans, uint64_t first, uint64_t last);

}  // namespace arcshard::bench
