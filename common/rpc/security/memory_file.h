#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/io/file.h"

namespace arcshard {

// A file that is only in memory and has a path in this process. Its contents are replaced at once: who opens it gets
// all of one version. It is not on a disk and nobody else can open it, so it may hold a secret. Not thread-safe, but
// other threads may open its path meanwhile.
class MemoryFile {
 public:
  // ResourceExhausted: no memory or descriptor is left.
  static absl::StatusOr<std::unique_ptr<MemoryFile>> Create(absl::string_view contents);

  // The next version, which nobody sees yet. ResourceExhausted: as Create.
  absl::StatusOr<FileDescriptor> Prepare(absl::string_view contents);
  // Replaces the contents by those of Prepare. The time of its last change is then another one, in seconds too.
  void Publish(FileDescriptor version);

  // "/proc/self/fd/7", for as long as this object exists.
  const std::string& path() const { return path_; }

 private:
  MemoryFile() = default;

  int64_t versions_ = 0;  // prepared so far
  FileDescriptor fd_;
  std::string path_;
};

}  // namespace arcshard
