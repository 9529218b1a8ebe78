#include "cli/command/run_options.h"

#include "absl/strings/str_cat.h"

namespace arcshard::cli {

void ClusterSize::AddTo(CommandLine* command) {
  command->Add("--shards", &shards_, "Number of shards instead of cluster.shards").Positive();
  command->Add("--workers", &workers_, "Number of workers instead of cluster.workers").Positive();
}

void ClusterSize::AppendTo(std::vector<std::string>* overrides) const {
  if (shards_ > 0) overrides->push_back(absl::StrCat("cluster.shards=", shards_));
  if (workers_ > 0) overrides->push_back(absl::StrCat("cluster.workers=", workers_));
}

void AddOverrides(CommandLine* command, std::vector<std::string>* overrides) {
  command->Add("--set", overrides, "A key's value, instead of the file's; may be repeated")
      .ValueName("section.key=value")
      .OneValueEach();
}

}  // namespace arcshard::cli
