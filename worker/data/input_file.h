#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace arcshard::worker {

// A regular file, read at any offset. Thread-safe: reads share no position.
class InputFile {
 public:
  // NotFound: there is no such file. PermissionDenied: it can't be opened. InvalidArgument: it is no regular file.
  static absl::StatusOr<std::unique_ptr<InputFile>> Open(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // Fills `bytes` with what lies at `offset`. OutOfRange: the file ends before. Unavailable: the device failed.
  absl::Status ReadAt(int64_t offset, int64_t count, char* bytes) const;

  const std::string& path() const { return path_; }
  int64_t size() const { return size_; }

 private:
  InputFile(std::string path, int descriptor, int64_t size);

  const std::string path_;
  const int descriptor_;
  const int64_t size_;  // when it was opened
};

// The whole of a file. Errors as of Open and ReadAt.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

}  // namespace arcshard::worker
