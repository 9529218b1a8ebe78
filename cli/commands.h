#pragma once

#include <memory>
#include <vector>

#include "cli/command/command.h"
#include "common/program/command_line.h"

namespace arcshard::cli {

template <typename... Commands>
std::vector<std::unique_ptr<Command>> MakeAll(CommandLine program) {
  std::vector<std::unique_ptr<Command>> commands;
  (commands.push_back(std::make_unique<Commands>(program)), ...);
  return commands;
}

// The commands of the program: those of arcshard are in commands.cc, those of arcshard-model in model/commands.cc.
std::vector<std::unique_ptr<Command>> MakeCommands(CommandLine program);

}  // namespace arcshard::cli
