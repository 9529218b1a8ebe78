#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/io/file_system.h"

namespace arcshard::cli {

struct ImportOptions {
  std::string folder;          // InsightFace's, as insightface_state.h says
  std::string out;             // the checkpoint's own folder, to be made
  int64_t num_classes = 0;     // N that the files must have; 0: as they have
  int64_t embedding_size = 0;  // D, likewise
  bool force = false;          // replace a checkpoint that is there
};

// `arcshard checkpoint import`: makes a complete checkpoint of what InsightFace left, for init_from.checkpoint of new
// runs: a file of class centers (and moments) for each rank, the backbone and the optimizer's state of it. Rows go
// through memory a MiB at a time. `out` appears whole or not at all, and one that is replaced stays until then:
// `out`.importing and `out`.replaced are folders of this command's, which a crash may leave and the next import
// removes. Returns what was made, in sentences. AlreadyExists: `out` is there, and no `force`, or it is no checkpoint.
// Else as ReadInsightFace and PartWriter.
absl::StatusOr<std::string> ImportCheckpoint(FileSystem* files, const ImportOptions& options);

}  // namespace arcshard::cli
