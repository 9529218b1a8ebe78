#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/config/run_config.h"

// A run's configuration from YAML: a map of sections, each a map of the keys that schema.cc describes; what is missing
// has its default.
//
// Errors (InvalidArgument, but for a file that cannot be read) are one sentence with the place, "run.yaml:12" or
// "--set a.b=c", the key, and what would be right: an unknown key the nearest valid name, a value of the wrong type
// what was expected, one out of range the bounds.
namespace arcshard {

// `overrides`: "data.batch_size=64", applied in order after the file; the right side of a list is YAML, "[4, 8]".
//
// Paths come out absolute, so that the configuration means the same in another process: a relative one in the file
// counts from the file's folder (run.folder: from the working directory), one in an override from the working
// directory.
absl::StatusOr<RunConfig> LoadRunConfig(const std::string& path, const std::vector<std::string>& overrides);

// The same for text that lies in no file, or was read already: `file_name` stands in messages, and its folder is where
// relative paths count from.
absl::StatusOr<RunConfig> ParseRunConfig(const std::string& yaml_text, const std::string& file_name,
                                         const std::vector<std::string>& overrides);

// What Load and Parse check of the values, for a configuration built in code: each key's own bounds and what keys must
// fulfil together.
absl::Status CheckRunConfig(const RunConfig& config);

// Every key with its value, and what it is as a comment. ParseRunConfig reads it back to the very same values.
std::string ToYaml(const RunConfig& config);

// A line for each key: name, default, unit, bounds, what it is.
std::string ConfigHelp();

}  // namespace arcshard
