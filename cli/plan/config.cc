#include "cli/plan/config.h"

#include <cstdio>

#include "common/config/load_config.h"

namespace arcshard::cli {

ConfigCommand::ConfigCommand(CommandLine program)
    : Command(program.AddCommand("config", "List every key of a run's YAML file with its default")) {}

absl::StatusOr<int> ConfigCommand::Run() {
  std::fputs(ConfigHelp().c_str(), stdout);
  return 0;
}

}  // namespace arcshard::cli
