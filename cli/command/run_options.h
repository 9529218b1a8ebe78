#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/program/command_line.h"

// Options of the commands that read a run's configuration.
namespace arcshard::cli {

// --shards and --workers.
class ClusterSize {
 public:
  void AddTo(CommandLine* command);

  // After parsing: appends what was given as values of cluster.shards and cluster.workers.
  void AppendTo(std::vector<std::string>* overrides) const;

 private:
  uint32_t shards_ = 0, workers_ = 0;  // 0: as configured
};

// --set section.key=value, which may be repeated.
void AddOverrides(CommandLine* command, std::vector<std::string>* overrides);

}  // namespace arcshard::cli
