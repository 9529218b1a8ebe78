#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/migrate/python_reader.h"

namespace arcshard::cli {

struct ImportConfigOptions {
  std::string config;  // path of InsightFace's config.py
  std::string base;    // path of its base.py; empty: beside it, or in the folder above
  int64_t gpus = 0;    // that the run had; 0: not given
};

struct ImportedConfig {
  std::string yaml;  // with a comment for each value, and for what has no counterpart
  int without_counterpart = 0;
};

// The configuration of a run here that does what InsightFace's arcface_torch does with the values `config`, a dict.
// source: the name of their file, for comments. Values that are not valid here become comments too.
ImportedConfig ConvertConfig(const PythonDict& config, const ImportConfigOptions& options,
                             const std::vector<std::string>& notes);

// Reads the files, of which nothing is executed, and converts their dict `config`: that of base.py, updated with that
// of config.py. NotFound, InvalidArgument: a file is not there, is no Python, or has no such dict.
absl::StatusOr<ImportedConfig> ImportConfig(const ImportConfigOptions& options);

}  // namespace arcshard::cli
