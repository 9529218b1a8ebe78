#include "bench/local_run/alternate_runs.h"

#include <memory>

#include "absl/status/status.h"
#include "common/base/status_macros.h"

namespace arcshard::bench {
namespace {

struct Slice {
  double seconds = 0.0;    // of a step
  double processor = 0.0;  // likewise
};

absl::StatusOr<Slice> MeasureSlice(LocalRun* run, uint64_t steps) {
  run->Resume();
  RETURN_IF_ERROR(run->AwaitSteps(1).status());  // of the first step a part was made before
  const double before = run->ProcessorSeconds();
  ASSIGN_OR_RETURN(const absl::Duration took, run->AwaitSteps(steps));
  const double used = run->ProcessorSeconds() - before;
  run->Pause();
  if (run->recoveries() > 0) {
    return absl::AbortedError("a run was stopped for so long that its connections broke; take fewer steps in a slice");
  }
  const auto count = static_cast<double>(steps);
  return Slice{absl::ToDoubleSeconds(took) / count, used / (count + 1)};  // AwaitSteps begins at the next step's end
}

}  // namespace

absl::StatusOr<AlternateSteps> AlternateRuns(const LocalRun::Options& with, const LocalRun::Options& without, int pairs,
                                             uint64_t steps) {
  ASSIGN_OR_RETURN(const std::unique_ptr<LocalRun> run_with, LocalRun::Start(with));
  run_with->Pause();
  ASSIGN_OR_RETURN(const std::unique_ptr<LocalRun> run_without, LocalRun::Start(without));
  run_without->Pause();
  AlternateSteps cost;
  for (int pair = -1; pair < pairs; ++pair) {  // the first one only warms up
    // Neither is always the first, which has the other one's data in the caches.
    const bool with_first = pair % 2 == 0;
    ASSIGN_OR_RETURN(const Slice first, MeasureSlice(with_first ? run_with.get() : run_without.get(), steps));
    ASSIGN_OR_RETURN(const Slice second, MeasureSlice(with_first ? run_without.get() : run_with.get(), steps));
    if (pair < 0) continue;
    const Slice& a = with_first ? first : second;
    const Slice& b = with_first ? second : first;
    cost.seconds_with.push_back(a.seconds);
    cost.seconds_without.push_back(b.seconds);
    cost.processor_with.push_back(a.processor);
    cost.processor_without.push_back(b.processor);
  }
  cost.checkpoints = run_with->checkpoints();
  return cost;
}

}  // namespace arcshard::bench
