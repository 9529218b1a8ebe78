#pragma once

#include <optional>

#include "CLI/CLI.hpp"
#include "common/io/log.h"

namespace arcshard {

inline constexpr int kUsageError = 2;  // exit code for an argument that is wrong

// Parses a program's arguments. A number: the program ends with it, having said why (one sentence) or printed its help.
inline std::optional<int> ParseCommandLine(CLI::App* app, int argc, char** argv) {
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app->exit(error);  // --help
    LogError(error.what());
    return kUsageError;
  }
  return std::nullopt;
}

}  // namespace arcshard
