#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/class_range.h"
#include "common/io/file_system.h"

namespace arcshard::cli {

struct ExportOptions {
  std::string checkpoint;          // a run's folder (its newest) or a checkpoint's
  std::string centers;             // safetensors file to write; empty: none
  std::string backbone;            // likewise
  std::optional<ClassRange> rows;  // of the centers; nullopt: all
  bool as_held = false;            // centers in the type that the shards hold, instead of float32
  bool force = false;              // replace files that are there
};

// `arcshard checkpoint export`: the class centers, of however many shards, as one tensor class_centers (rows×D), and
// the backbone under InsightFace's names with the metadata that arcshard verify and embed need. Each file appears whole
// or not at all; memory does not grow with the number of classes. Returns what was written, in sentences.
// AlreadyExists: a file is there, and no `force`. InvalidArgument: rows that the checkpoint does not have. NotFound: it
// has no such part. Else as OpenCheckpoint and SafetensorsWriter.
absl::StatusOr<std::string> ExportCheckpoint(FileSystem* files, const ExportOptions& options);

}  // namespace arcshard::cli
