#pragma once

#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/device_name.h"
#include "common/io/log.h"

namespace arcshard {

inline constexpr int kUsageError = 2;  // exit code for wrong arguments

// Parses a program's arguments. A result is the exit code with which the program must end: the function has printed the
// help, or logged in one sentence what is wrong.
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

// Parses the value of an option such as --connect-timeout. A result is an exit code, as in ParseCommandLine.
inline std::optional<int> ParseDurationOption(absl::string_view option, const std::string& text,
                                              absl::Duration* value) {
  if (absl::ParseDuration(text, value)) return std::nullopt;
  LogError(absl::StrCat(option, " ", text, " is no duration such as 60s or 2m"));
  return kUsageError;
}

// Parses the value of an option such as --device. A result is an exit code, as in ParseCommandLine.
inline std::optional<int> ParseDeviceOption(absl::string_view option, const std::string& text, DeviceName* value) {
  const absl::StatusOr<DeviceName> parsed = ParseDeviceName(text);
  if (parsed.ok()) {
    *value = *parsed;
    return std::nullopt;
  }
  LogError(absl::StrCat(option, " ", absl::string_view(parsed.status().message())));
  return kUsageError;
}

}  // namespace arcshard
