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

// A complete checkpoint, to read from. Thread-safe.
class OpenCheckpoint {
 public:
  // `folder`: the checkpoint's own. NotFound: no manifest there. DataLoss: it is damaged, or a file is missing or not
  // of its size. Files are not read yet.
  static absl::StatusOr<OpenCheckpoint> Open(FileSystem* files, const std::string& folder);

  const std::string& folder() const { return folder_; }
  const Manifest& manifest() const { return manifest_; }
  bool Has(absl::string_view name) const;

  // Every byte that is read from it is checked: DataLoss with the file's name where a block is not what was written.
  // Only blocks that hold what is asked for are read. NotFound: the manifest knows no such file.
  absl::StatusOr<SafetensorsFile> File(absl::string_view name) const;

  // Reads and checks all of all files. The first error: DataLoss, NotFound, Unavailable.
  absl::Status Verify() const;

 private:
  OpenCheckpoint(FileSystem* files, std::string folder, Manifest manifest)
      : files_(files), folder_(std::move(folder)), manifest_(std::move(manifest)) {}

  FileSystem* files_;
  std::string folder_;
  Manifest manifest_;
};

// The checkpoint that `path` means: a checkpoint's folder, or the newest complete one of a run's folder. NotFound:
// there is none.
absl::StatusOr<std::string> ResolveCheckpoint(FileSystem* files, const std::string& path);

}  // namespace arcshard
