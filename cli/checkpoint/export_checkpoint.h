#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/class_range.h"
#include "common/io/file_system.h"

namespace arcshard::cli {

struct ExportOptions {
  std::string checkpoint;          // a run's folder (its newest checkpoint) or a checkpoint's
  std::string centers;             // safetensors file to write; empty: none
  std::string backbone;            // likewise
  std::optional<ClassRange> rows;  // classes to export; nullopt: all
  bool as_held = false;            // write centers in the type of the shards instead of float32
  bool force = false;              // replace files that exist
};

// `arcshard checkpoint export`: writes the class centers of all shards as one tensor class_centers (rows×D), and the
// backbone under InsightFace's names with the metadata that arcshard verify and embed need. Each file appears whole or
// not at all; memory does not grow with the number of classes. Returns a description of the files. AlreadyExists: a
// file exists, and `force` is not set. InvalidArgument: the checkpoint does not have these rows, or both files are the
// same. FailedPrecondition: a file is the checkpoint's or its run's. NotFound: it does not have this part. Other errors
// are those of OpenCheckpoint, CheckOutputFile and SafetensorsWriter.
absl::StatusOr<std::string> ExportCheckpoint(FileSystem* files, const ExportOptions& options);

}  // namespace arcshard::cli
