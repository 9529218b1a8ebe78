#pragma once

#include "absl/status/statusor.h"
#include "cli/command/command.h"

namespace arcshard::cli {

// `arcshard config`: prints every key of a run's YAML file with its default.
class ConfigCommand : public Command {
 public:
  explicit ConfigCommand(CommandLine program);

  absl::StatusOr<int> Run() override;
};

}  // namespace arcshard::cli
