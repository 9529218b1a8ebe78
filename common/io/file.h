#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/io/file_system.h"

// Files by POSIX calls. Errors name the path and quote the system's reason. Their code follows from errno: NotFound
// (no such file or folder), PermissionDenied, ResourceExhausted (disk, quota or descriptors used up), AlreadyExists,
// FailedPrecondition (a folder where a file is expected, or the reverse), Unavailable (I/O error) and so on.
namespace arcshard {

// "path: cannot open for reading: No such file or directory", for the value `error` of errno.
absl::Status ErrnoStatus(int error, absl::string_view path, absl::string_view what_failed);

// Owns an open file descriptor. Not thread-safe to move; Pread on one object from several threads is safe.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release();

 private:
  int fd_ = -1;
};

// open(), repeated after EINTR; other programs do not inherit the descriptor. Invalid on failure, with errno set.
FileDescriptor OpenDescriptor(const std::string& path, int flags, mode_t mode = 0);

// Opens a file that grows at its end, for reading too, and creates it if it is missing. FailedPrecondition: `path` is a
// symbolic link, which might lead out of the run's folder, or no regular file.
absl::StatusOr<FileDescriptor> OpenToAppend(const std::string& path);

// Whether `path` still names what `open_file` has open: that was neither deleted nor replaced. True if it cannot be
// found out.
bool StillNames(const std::string& path, const FileDescriptor& open_file);

// The folder part of `path`; "." if it has none.
std::string FolderOf(absl::string_view path);

// A regular file, read with pread.
class ReadableFile final : public ByteSource {
 public:
  // FailedPrecondition: `path` is not a regular file.
  static absl::StatusOr<ReadableFile> Open(const std::string& path);

  const std::string& path() const override { return path_; }
  uint64_t size() const override { return size_; }  // as of Open
  absl::Status ReadAt(uint64_t offset, absl::Span<std::byte> out) const override;

 private:
  ReadableFile(std::string path, FileDescriptor fd, uint64_t size);

  std::string path_;
  FileDescriptor fd_;
  uint64_t size_;
};

// A file that appears under its name complete and durable, or not at all: it is written under a temporary name in the
// same folder, then synced and renamed, and the folder is synced. Not thread-safe.
class AtomicFile {
 public:
  // `files` outlives the file.
  static absl::StatusOr<AtomicFile> Create(const std::string& path, FileSystem* files = RealFileSystem());
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();  // removes the temporary file if Commit was not called

  // Whether `name` is that of a temporary file, which a killed process may leave behind.
  static bool IsTemporaryName(absl::string_view name);

  const std::string& path() const { return path_; }
  // After an error part of the data may have been written: the file must not be committed.
  absl::Status Append(absl::Span<const std::byte> data);
  absl::Status Append(absl::string_view text);

  // After an error before the rename nothing is left behind, and an older file of that name is unchanged. Call once,
  // last.
  absl::Status Commit();

 private:
  AtomicFile(std::string path, std::string temporary_path, FileSystem* files, std::unique_ptr<WritableFile> file);
  absl::Status WithOwnName(const absl::Status& status) const;  // replaces the temporary name in the message

  std::string path_;
  std::string temporary_path_;  // empty once it is gone
  FileSystem* files_;
  std::unique_ptr<WritableFile> file_;
};

// The contents of a regular file. InvalidArgument: it has more than `largest` bytes; none is read then.
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t largest = std::numeric_limits<uint64_t>::max());

absl::Status WriteFileAtomically(const std::string& path, absl::string_view contents);

// FileSystem::CreateFolders of the real file system.
absl::Status CreateFolders(const std::string& path);

}  // namespace arcshard
