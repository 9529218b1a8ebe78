#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/checkpoint/manifest.h"
#include "common/io/file_system.h"
#include "common/io/safetensors.h"

namespace arcshard {

// A complete checkpoint for reading. Thread-safe.
class OpenCheckpoint {
 public:
  // `folder`: the checkpoint's own. Reads the manifest and checks the sizes of the files, but not their contents.
  // NotFound: there is no manifest. DataLoss: it is damaged, or a file is missing or has another size.
  static absl::StatusOr<OpenCheckpoint> Open(FileSystem* files, const std::string& folder);

  const std::string& folder() const { return folder_; }
  const Manifest& manifest() const { return manifest_; }
  bool Has(absl::string_view name) const;

  // Opens a file for reading. Only the blocks that contain requested bytes are read, and each is checked: DataLoss,
  // with the file's name, if a block differs from what was written. NotFound: the manifest lists no such file.
  absl::StatusOr<SafetensorsFile> File(absl::string_view name) const;

  // Reads and checks all files. Returns the first error: DataLoss, NotFound or Unavailable.
  absl::Status Verify() const;

 private:
  OpenCheckpoint(FileSystem* files, std::string folder, Manifest manifest)
      : files_(files), folder_(std::move(folder)), manifest_(std::move(manifest)) {}

  FileSystem* files_;
  std::string folder_;
  Manifest manifest_;
};

// The folder of the checkpoint that `path` refers to: `path` itself, or the newest complete checkpoint if it is a run's
// folder. NotFound: there is none.
absl::StatusOr<std::string> ResolveCheckpoint(FileSystem* files, const std::string& path);

}  // namespace arcshard
