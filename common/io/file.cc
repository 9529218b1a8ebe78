#include "common/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard {
namespace {

constexpr size_t kLargestTransfer = size_t{1} << 30;  // Linux transfers at most 2 GiB a call

absl::StatusCode CodeOfErrno(int error) {
  switch (error) {
    case ENOENT:
      return absl::StatusCode::kNotFound;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::StatusCode::kResourceExhausted;
    case EISDIR:
    case ENOTDIR:
    case ENOTEMPTY:
    case EBUSY:
      return absl::StatusCode::kFailedPrecondition;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
      return absl::StatusCode::kInvalidArgument;
    case EIO:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kUnknown;
  }
}

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// open() without EINTR.
FileDescriptor OpenFd(const std::string& path, int flags, mode_t mode = 0) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return FileDescriptor(fd);
}

absl::Status SyncFolder(const std::string& folder) {
  const FileDescriptor fd = OpenFd(folder, O_RDONLY | O_DIRECTORY);
  if (!fd.valid()) return ErrnoStatus(errno, folder, "cannot open the folder");
  if (::fsync(fd.get()) != 0) return ErrnoStatus(errno, folder, "cannot sync the folder");
  return absl::OkStatus();
}

}  // namespace

absl::Status ErrnoStatus(int error, absl::string_view path, absl::string_view what_failed) {
  return absl::Status(CodeOfErrno(error),
                      absl::StrCat(path, ": ", what_failed, ": ", std::generic_category().message(error)));
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    if (valid()) ::close(fd_);
    fd_ = other.Release();
  }
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (valid()) ::close(fd_);
}

int FileDescriptor::Release() { return std::exchange(fd_, -1); }

ReadableFile::ReadableFile(std::string path, FileDescriptor fd, uint64_t size)
    : path_(std::move(path)), fd_(std::move(fd)), size_(size) {}

absl::StatusOr<ReadableFile> ReadableFile::Open(const std::string& path) {
  // O_NONBLOCK: opening a named pipe without a writer would wait; it has no effect on regular files.
  FileDescriptor fd = OpenFd(path, O_RDONLY | O_NONBLOCK);
  if (!fd.valid()) return ErrnoStatus(errno, path, "cannot open for reading");
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, path, "cannot read the file's size");
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is ", S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe", ", not a file"));
  }
  return ReadableFile(path, std::move(fd), static_cast<uint64_t>(info.st_size));
}

absl::Status ReadableFile::ReadAt(uint64_t offset, absl::Span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    return absl::DataLossError(
        absl::StrCat(path_, ": ", out.size(), " bytes at offset ", offset, " are past the file's end at ", size_));
  }
  for (size_t done = 0; done < out.size();) {
    const size_t wanted = std::min(out.size() - done, kLargestTransfer);
    const ssize_t got = ::pread(fd_.get(), out.data() + done, wanted, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, path_, "cannot read");
    if (got == 0) {
      return absl::UnavailableError(
          absl::StrCat(path_, ": was cut to ", offset + done, " bytes while it was being read"));
    }
    done += static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

AtomicFile::AtomicFile(std::string path, std::string temporary_path, FileDescriptor fd)
    : path_(std::move(path)), temporary_path_(std::move(temporary_path)), fd_(std::move(fd)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_path_(std::exchange(other.temporary_path_, std::string())),
      fd_(std::move(other.fd_)) {}

AtomicFile::~AtomicFile() {
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

absl::StatusOr<AtomicFile> AtomicFile::Create(const std::string& path) {
  static std::atomic<uint64_t> next_number{0};
  // In a container every process may have the same id: a dead one's leftover must not stop us, nor be taken over.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    std::string temporary = absl::StrCat(path, ".tmp-", ::getpid(), "-", next_number.fetch_add(1));
    FileDescriptor fd = OpenFd(temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd.valid()) return AtomicFile(path, std::move(temporary), std::move(fd));
    if (errno != EEXIST) return ErrnoStatus(errno, path, "cannot create");
  }
  return ErrnoStatus(EEXIST, path, "cannot create a temporary file beside it");
}

absl::Status AtomicFile::Append(absl::Span<const std::byte> data) {
  for (size_t done = 0; done < data.size();) {
    const size_t wanted = std::min(data.size() - done, kLargestTransfer);
    const ssize_t written = ::write(fd_.get(), data.data() + done, wanted);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, path_, "cannot write");
    done += static_cast<size_t>(written);
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Append(absl::string_view text) {
  return Append(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(text.data()), text.size()));
}

absl::Status AtomicFile::Commit() {
  if (::fsync(fd_.get()) != 0) return ErrnoStatus(errno, path_, "cannot sync to disk");
  // Some file systems report a failed write only here.
  if (::close(fd_.Release()) != 0) return ErrnoStatus(errno, path_, "cannot close");
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(errno, path_, "cannot move the finished file to its name");
  }
  temporary_path_.clear();
  return SyncFolder(FolderOf(path_));
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  ASSIGN_OR_RETURN(const ReadableFile file, ReadableFile::Open(path));
  std::string contents(file.size(), '\0');
  RETURN_IF_ERROR(file.ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(contents.data()), contents.size())));
  return contents;
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view contents) {
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  RETURN_IF_ERROR(file.Append(contents));
  return file.Commit();
}

absl::Status CreateFolders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  // With a trailing slash or where a file is in the way, the error code alone does not tell.
  if (!error && !std::filesystem::is_directory(path, error) && !error)
    error = std::make_error_code(std::errc::not_a_directory);
  if (error) return ErrnoStatus(error.value(), path, "cannot create the folder");
  return absl::OkStatus();
}

}  // namespace arcshard
