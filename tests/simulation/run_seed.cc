#include "tests/simulation/run_seed.h"

#include "absl/strings/str_cat.h"
#include "tests/simulation/draw_faults.h"

namespace arcshard::simulation {

Model ModelWithoutFaults() {
  Cluster cluster{ClusterOptions{}};
  cluster.RunFor(kLimit);
  return cluster.disk().model;
}

SeedResult RunSeed(uint64_t seed, const Model& expected) {
  ClusterOptions options{.seed = seed, .spare = seed % 3 == 0};
  options.faults = DrawFaults(seed, options.shards, options.workers);
  Cluster cluster(options);
  cluster.RunFor(kLimit);
  const coordinator::Progress& progress = cluster.progress();
  SeedResult result{.recoveries = progress.recoveries, .problem = {}};
  const bool is_whole = cluster.disk().model == expected;
  if (cluster.finished() && cluster.violations().empty() && progress.lost_steps == 0 && is_whole) return result;
  std::string& text = result.problem;
  text = absl::StrCat("seed ", seed, ", which ARCSHARD_SIMULATION_SEED=", seed, " repeats: at step ", progress.step,
                      ", ", progress.lost_steps, " steps lost, the model ", is_whole ? "equal" : "differs", "\n");
  for (const Fault& fault : options.faults) absl::StrAppend(&text, "  ", Describe(fault), "\n");
  for (const std::string& line : cluster.log()) absl::StrAppend(&text, line, "\n");
  return result;
}

}  // namespace arcshard::simulation
