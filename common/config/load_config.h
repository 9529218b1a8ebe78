#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/config/run_config.h"

// Reads a run's configuration from YAML: a map of sections, each a map of the keys that schema.cc describes. Missing
// keys have their defaults.
//
// Errors are InvalidArgument, except for a file that cannot be read (file.h). The message is one sentence with the
// place, "run.yaml:12" or "--set a.b=c", the key, and the remedy: the nearest valid name for an unknown key, the
// expected type for a wrong one, the bounds for a value out of range.
namespace arcshard {

// `overrides`, such as "data.batch_size=64", are applied in order after the file; the value of a list is YAML, "[4,
// 8]".
//
// All paths in the result are absolute, so that the configuration means the same in another process. A relative path in
// the file is relative to the file's folder, one in an override, or in a file that is a pipe, to the working directory.
// ~ and variables of the environment are replaced as a shell does (path_text.h).
absl::StatusOr<RunConfig> LoadRunConfig(const std::string& path, const std::vector<std::string>& overrides);

// The same for text that is not in a file or was already read. `file_name` appears in messages, and relative paths are
// relative to its folder.
absl::StatusOr<RunConfig> ParseRunConfig(const std::string& yaml_text, const std::string& file_name,
                                         const std::vector<std::string>& overrides);

// Checks the values as Load and Parse do, for a configuration built in code: each key's bounds, and the conditions on
// several keys together. InvalidArgument: names the key.
absl::Status CheckRunConfig(const RunConfig& config);

// YAML with every key, its value and its explanation as a comment. ParseRunConfig reads back exactly the same values.
std::string ToYaml(const RunConfig& config);

// A line per key: name, default, unit, explanation, bounds, and whether it is fixed on resume.
std::string ConfigHelp();

}  // namespace arcshard
