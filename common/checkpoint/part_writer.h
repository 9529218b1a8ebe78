#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/io/file_system.h"
#include "common/io/safetensors.h"
#include "common/protocol/checkpoint_report.h"

namespace arcshard {

// Writes a safetensors file of a checkpoint, tensor by tensor in the declared order, and computes its record. The file
// appears complete and durable, at Finish, or not at all; the folder is created. Not thread-safe. Errors are those of
// SafetensorsWriter.
class PartWriter {
 public:
  // `files` outlives the writer. name: "backbone.safetensors".
  static absl::StatusOr<std::unique_ptr<PartWriter>> Create(FileSystem* files, const std::string& folder,
                                                            const std::string& name, std::vector<TensorSpec> tensors,
                                                            const SafetensorsMetadata& metadata);
  virtual ~PartWriter() = default;

  // The next values of `tensor`, row-major.
  virtual absl::Status Append(absl::string_view tensor, TensorDtype dtype, absl::Span<const std::byte> data) = 0;
  // Call once, last.
  virtual absl::StatusOr<FileRecord> Finish() = 0;
};

}  // namespace arcshard
