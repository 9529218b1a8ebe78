#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/command/command.h"
#include "cli/command/run_options.h"
#include "cli/plan/run_plan.h"

namespace arcshard::cli {

struct PlanOptions {
  std::string config;                  // path of the YAML file
  std::vector<std::string> overrides;  // section.key=value
  double shard_memory_gb = 0.0;        // GiB that a shard may have resident; 0: not given
  bool json = false;                   // for scripts instead of people
  // A sentence on head.compute where this machine computes it slowly; "": none is needed. By default it follows from
  // the processor's features (compute_notes.h).
  std::function<std::string(const RunConfig&)> note_on_head = nullptr;
};

// How many shards of a given memory a run needs.
struct ShardChoice {
  int64_t bytes_per_shard = 0;
  int64_t shards = 0;      // needed; 0: no number is enough
  int64_t classes = 0;     // that fit in one of them
  int64_t replay_log = 0;  // bytes of each one's
};

// `notes`: sentences on what this machine computes slowly (compute_notes.h).
std::string PlanText(const RunConfig& config, const RunPlan& plan, const std::optional<ShardChoice>& choice,
                     const std::vector<std::string>& notes);
std::string PlanJson(const RunConfig& config, const RunPlan& plan, const std::optional<ShardChoice>& choice,
                     const std::vector<std::string>& notes);

// What a run will take, as text. Opens the data only if head.classes does not give the number of classes.
// InvalidArgument: the configuration is wrong. Other errors are those of the data.
absl::StatusOr<std::string> PlanOf(const PlanOptions& options);

// `arcshard plan`, as arcshard and arcshard-model declare it. Run hands a run whose head computes in bfloat16 over to
// arcshard-model, where a derived class measures the products.
class PlanCommand : public Command {
 public:
  explicit PlanCommand(CommandLine program);

  absl::StatusOr<int> Run() override;

 protected:
  absl::StatusOr<int> Print(std::function<std::string(const RunConfig&)> note_on_head);

 private:
  PlanOptions options_;
  ClusterSize cluster_;
};

}  // namespace arcshard::cli
