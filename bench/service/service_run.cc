#include "bench/service/service_run.h"

#include <fstream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard::bench {
namespace {

// A process that is killed has not written the spans of its last second.
constexpr absl::Duration kUntilWritten = absl::Seconds(3);

// What a shard or worker has counted.
struct Counts {
  std::vector<double> steps, sent, received;  // shards, then workers
};

absl::StatusOr<Counts> Count(const LocalRun& run) {
  Counts counts;
  ASSIGN_OR_RETURN(counts.steps, run.Metrics("arcshard_steps_total{outcome=\"commit\"}"));
  ASSIGN_OR_RETURN(counts.sent, run.Metrics("arcshard_message_bytes_total{direction=\"sent\"}"));
  ASSIGN_OR_RETURN(counts.received, run.Metrics("arcshard_message_bytes_total{direction=\"received\"}"));
  return counts;
}

// The mean of what the processes from `first` on have counted in a step.
double PerStep(const std::vector<double>& before, const std::vector<double>& after, const Counts& first,
               const Counts& last, std::pair<size_t, size_t> processes) {
  double sum = 0.0;
  for (size_t i = processes.first; i < processes.second; ++i) {
    sum += (after[i] - before[i]) / (last.steps[i] - first.steps[i]);
  }
  return sum / static_cast<double>(processes.second - processes.first);
}

absl::StatusOr<StepFigures> ReadTrace(const std::string& path, uint64_t first, uint64_t last) {
  std::ifstream file(path);
  const nlohmann::json trace = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (trace.is_discarded()) return absl::DataLossError(absl::StrCat(path, " is no JSON"));
  ASSIGN_OR_RETURN(const std::vector<TracedSpan> spans, SpansOf(trace));
  return FiguresOf(spans, first, last);
}

}  // namespace

absl::StatusOr<ServiceFigures> MeasureService(const LocalRun::Options& options, uint64_t warmup, uint64_t steps) {
  ASSIGN_OR_RETURN(const std::unique_ptr<LocalRun> run, LocalRun::Start(options));
  RETURN_IF_ERROR(run->AwaitSteps(warmup).status());
  ServiceFigures figures;
  ASSIGN_OR_RETURN(const Counts before, Count(*run));
  const double processor = run->ProcessorSeconds();
  const uint64_t begin = run->step();
  RETURN_IF_ERROR(run->AwaitSteps(steps).status());
  const uint64_t end = run->step();
  figures.processor_ms = (run->ProcessorSeconds() - processor) * 1e3 / static_cast<double>(end - begin);
  ASSIGN_OR_RETURN(const Counts after, Count(*run));
  for (const auto& [name, pid] : run->Processes()) figures.memory.emplace_back(name, MemoryOf(pid));
  const size_t shards = options.shards, all = options.shards + options.workers;
  figures.shard_sent_bytes = PerStep(before.sent, after.sent, before, after, {0, shards});
  figures.shard_received_bytes = PerStep(before.received, after.received, before, after, {0, shards});
  figures.worker_sent_bytes = PerStep(before.sent, after.sent, before, after, {shards, all});
  figures.worker_received_bytes = PerStep(before.received, after.received, before, after, {shards, all});
  const SystemClock clock;
  const MonotonicTime written = clock.Now() + kUntilWritten;
  while (clock.Now() < written) RETURN_IF_ERROR(run->AwaitSteps(1).status());
  RETURN_IF_ERROR(run->MergeTrace());
  ASSIGN_OR_RETURN(figures.steps, ReadTrace(options.trace, begin + 1, end));
  return figures;
}

}  // namespace arcshard::bench
