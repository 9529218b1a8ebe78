#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/io/file_system.h"

namespace arcshard::coordinator {

// Makes `yaml` the configuration of the run, <run_folder>/config.yaml, with which `arcshard train --resume` begins.
// Leaves a file that says the same alone. Errors are those of AtomicFile; the file is then unchanged.
absl::Status KeepRunConfig(FileSystem* files, const std::string& run_folder, absl::string_view yaml);

}  // namespace arcshard::coordinator
