#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

// What of a file system arcshard writes with, so that tests can let each call fail. Errors are those of file.h.
namespace arcshard {

// Bytes that may be read at any offset. Thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual const std::string& path() const = 0;
  virtual uint64_t size() const = 0;  // bytes

  // Fills all of `out` from `offset`. DataLoss: that is past the end, or the bytes are not those that were written.
  // Unavailable: the device failed, or somebody cut the file meanwhile.
  virtual absl::Status ReadAt(uint64_t offset, absl::Span<std::byte> out) const = 0;
};

// A file that is written from its beginning to its end. Not thread-safe. Destroyed without Close it is closed, and an
// error of that is nobody's.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  // All of `data`. After an error part of it may be there.
  virtual absl::Status Append(absl::Span<const std::byte> data) = 0;
  virtual absl::Status Sync() = 0;  // to the disk
  virtual absl::Status Close() = 0;
};

// Thread-safe.
class FileSystem {
 public:
  struct Entry {
    std::string name;
    bool is_folder = false;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  virtual ~FileSystem() = default;

  // A new file. AlreadyExists: there is one.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;
  // FailedPrecondition: no regular file.
  virtual absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path) = 0;

  // Within a folder; replaces a file that is there.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  virtual absl::Status RemoveFolder(const std::string& path) = 0;  // an empty one
  // And the folders above it, as far as they are missing; each durable in the one above.
  virtual absl::Status CreateFolders(const std::string& path) = 0;
  // What was created, renamed and removed in it stays so.
  virtual absl::Status SyncFolder(const std::string& path) = 0;
  virtual absl::StatusOr<std::vector<Entry>> List(const std::string& path) = 0;  // by name
};

// POSIX. Never destroyed.
FileSystem* RealFileSystem();

}  // namespace arcshard
