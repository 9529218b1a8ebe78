#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

// The file operations that arcshard writes with, as an interface, so that tests can make each call fail. Errors are
// those of file.h.
namespace arcshard {

// Bytes that can be read at any offset. Thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual const std::string& path() const = 0;
  virtual uint64_t size() const = 0;  // bytes

  // Fills all of `out`, beginning at `offset`. DataLoss: the range passes the end, or the bytes differ from those that
  // were written. Unavailable: the device failed, or the file was truncated in the meantime.
  virtual absl::Status ReadAt(uint64_t offset, absl::Span<std::byte> out) const = 0;
};

// A file that is written from its beginning to its end. Not thread-safe. The destructor closes it if Close was not
// called, and ignores errors of that.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  // Writes all of `data`. After an error part of it may have been written.
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

  // Creates a file. AlreadyExists: a file of that name exists.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;
  // FailedPrecondition: not a regular file.
  virtual absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path) = 0;

  // Within one folder; replaces a file named `to`.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  virtual absl::Status RemoveFolder(const std::string& path) = 0;  // an empty one
  // Creates the folder and those above it that are missing, each durably.
  virtual absl::Status CreateFolders(const std::string& path) = 0;
  // Makes creations, renames and removals in the folder durable.
  virtual absl::Status SyncFolder(const std::string& path) = 0;
  virtual absl::StatusOr<std::vector<Entry>> List(const std::string& path) = 0;  // by name
};

// POSIX. Never destroyed.
FileSystem* RealFileSystem();

}  // namespace arcshard
