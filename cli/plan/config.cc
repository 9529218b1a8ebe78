#include "cli/plan/config.h"

#include "cli/display/console.h"
#include "common/base/status_macros.h"
#include "common/config/load_config.h"

namespace arcshard::cli {

ConfigCommand::ConfigCommand(CommandLine program)
    : Command(program.AddCommand("config", "List every key of a run's YAML file with its default")) {}

absl::StatusOr<int> ConfigCommand::Run() {
  RETURN_IF_ERROR(PrintText(ConfigHelp()));
  return 0;
}

}  // namespace arcshard::cli
