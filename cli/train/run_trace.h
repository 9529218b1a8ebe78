#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "common/io/file_system.h"

namespace arcshard::cli {

// The trace of a run whose processes all are on this machine. Each life of a process writes its own part, into the
// folder FILE.parts; when all have ended, the parts become FILE.
class RunTrace {
 public:
  // `files` outlives it.
  RunTrace(FileSystem* files, std::string path) : files_(files), path_(std::move(path)) {}

  // What a process called `name` gets as its --trace.
  static std::string PartOf(const std::string& path, const std::string& name);

  // Makes the folder of the parts, and deletes those of an earlier run. Errors of CheckOutputFile, which may replace a
  // file, and of the file system.
  absl::Status Prepare();
  // Call it when all processes have ended. After an error the parts are still there, and its message says where.
  absl::Status Merge();

 private:
  FileSystem* const files_;
  const std::string path_;
};

}  // namespace arcshard::cli
