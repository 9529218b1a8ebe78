#pragma once

#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/device_name.h"
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

// The value of an option such as --connect-timeout. A number: as of ParseCommandLine.
inline std::optional<int> ParseDurationOption(absl::string_view option, const std::string& text,
                                              absl::Duration* value) {
  if (absl::ParseDuration(text, value)) return std::nullopt;
  LogError(absl::StrCat(option, " ", text, " is no duration such as 60s or 2m"));
  return kUsageError;
}

// The value of --device and its like. A number: as of ParseCommandLine.
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
