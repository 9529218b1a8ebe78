#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/io/file_system.h"

namespace arcshard::cli {

struct ImportOptions {
  std::string folder;          // with InsightFace's files (insightface_state.h)
  std::string out;             // folder of the new checkpoint
  int64_t num_classes = 0;     // N that the files must have; 0: any
  int64_t embedding_size = 0;  // D that the files must have; 0: any
  bool force = false;          // replace a checkpoint that exists
};

// `arcshard checkpoint import`: makes a complete checkpoint from InsightFace's files, for init_from.checkpoint of new
// runs: a file of class centers (and moments) for each rank, the backbone, and its optimizer state. Copies rows a MiB
// at a time. `out` appears whole or not at all, and a checkpoint that it replaces exists until then. The command also
// makes the folders `out`.importing and `out`.replaced; a crash may leave them, and the next import removes them.
// Returns a description of the checkpoint. AlreadyExists: `out` exists, and `force` is not set or it is not a
// checkpoint. Other errors are those of ReadInsightFace and PartWriter.
absl::StatusOr<std::string> ImportCheckpoint(FileSystem* files, const ImportOptions& options);

}  // namespace arcshard::cli
