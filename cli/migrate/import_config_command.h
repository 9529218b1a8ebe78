#pragma once

#include "absl/status/statusor.h"
#include "cli/command/command.h"
#include "cli/migrate/import_config.h"

namespace arcshard::cli {

// `arcshard import-config`: prints the YAML file that a configuration of InsightFace's arcface_torch becomes.
class ImportConfigCommand : public Command {
 public:
  explicit ImportConfigCommand(CommandLine program);

  absl::StatusOr<int> Run() override;

 private:
  ImportConfigOptions options_;
};

}  // namespace arcshard::cli
