#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/plan/run_plan.h"

namespace arcshard::cli {

struct PlanOptions {
  std::string config;                  // path of the YAML file
  std::vector<std::string> overrides;  // section.key=value
  double shard_memory_gb = 0.0;        // GiB that a shard may have resident; 0: not said
  bool json = false;                   // for scripts instead of people
};

// What the plan says of shards of a given memory.
struct ShardChoice {
  int64_t bytes_per_shard = 0;
  int64_t shards = 0;   // that are needed; 0: no number is enough
  int64_t classes = 0;  // that fit one
};

std::string PlanText(const RunConfig& config, const RunPlan& plan, const std::optional<ShardChoice>& choice);
std::string PlanJson(const RunConfig& config, const RunPlan& plan, const std::optional<ShardChoice>& choice);

// `arcshard plan`: what a run will take, as text. Opens the data only for their number of classes, where head.classes
// does not say it. InvalidArgument: the configuration's errors; others: the data's.
absl::StatusOr<std::string> PlanOf(const PlanOptions& options);

}  // namespace arcshard::cli
