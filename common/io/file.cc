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
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"

namespace arcshard {
namespace {

constexpr size_t kLargestTransfer = size_t{1} << 30;  // Linux transfers at most 2 GiB a call
constexpr absl::string_view kTemporary = ".tmp-";     // followed by the process id, "-" and a number

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

FileDescriptor OpenDescriptor(const std::string& path, int flags, mode_t mode) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return FileDescriptor(fd);
}

absl::StatusOr<FileDescriptor> OpenToAppend(const std::string& path) {
  // O_NONBLOCK: without it, opening a named pipe would wait for a reader. It has no effect on regular files.
  FileDescriptor fd = OpenDescriptor(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (!fd.valid() && errno == ELOOP) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is a symbolic link, and nothing is written through one; remove it"));
  }
  if (!fd.valid()) return ErrnoStatus(errno, path, "cannot open for writing");
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, path, "cannot tell what it is");
  if (!S_ISREG(info.st_mode)) return absl::FailedPreconditionError(absl::StrCat(path, ": is not a regular file"));
  return fd;
}

bool StillNames(const std::string& path, const FileDescriptor& open_file) {
  struct stat named, open;
  if (::fstat(open_file.get(), &open) != 0) return true;
  if (::stat(path.c_str(), &named) != 0) return errno != ENOENT && errno != ENOTDIR;
  return named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

std::string FolderOf(absl::string_view path) {
  const std::string folder = std::filesystem::path(std::string(path)).parent_path().string();
  return folder.empty() ? "." : folder;
}

ReadableFile::ReadableFile(std::string path, FileDescriptor fd, uint64_t size)
    : path_(std::move(path)), fd_(std::move(fd)), size_(size) {}

absl::StatusOr<ReadableFile> ReadableFile::Open(const std::string& path) {
  // O_NONBLOCK: without it, opening a named pipe would wait for a writer. It has no effect on regular files.
  FileDescriptor fd = OpenDescriptor(path, O_RDONLY | O_NONBLOCK);
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

AtomicFile::AtomicFile(std::string path, std::string temporary_path, FileSystem* files,
                       std::unique_ptr<WritableFile> file)
    : path_(std::move(path)), temporary_path_(std::move(temporary_path)), files_(files), file_(std::move(file)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_path_(std::exchange(other.temporary_path_, std::string())),
      files_(other.files_),
      file_(std::move(other.file_)) {}

AtomicFile::~AtomicFile() {
  file_.reset();
  if (!temporary_path_.empty()) (void)files_->Remove(temporary_path_);  // if this fails, CleanUp removes it later
}

absl::StatusOr<AtomicFile> AtomicFile::Create(const std::string& path, FileSystem* files) {
  static std::atomic<uint64_t> next_number{0};
  // In containers every process may have the same id, so the file that a dead process left may have this name. It must
  // neither stop this process nor be overwritten.
  absl::Status status;
  for (int attempt = 0; attempt < 1000; ++attempt) {
    std::string temporary = absl::StrCat(path, kTemporary, ::getpid(), "-", next_number.fetch_add(1));
    absl::StatusOr<std::unique_ptr<WritableFile>> file = files->Create(temporary);
    if (file.ok()) return AtomicFile(path, std::move(temporary), files, *std::move(file));
    status = absl::Status(file.status().code(), absl::StrReplaceAll(file.status().message(), {{temporary, path}}));
    if (status.code() != absl::StatusCode::kAlreadyExists) break;
  }
  return status;
}

bool AtomicFile::IsTemporaryName(absl::string_view name) {
  const size_t begin = name.rfind(kTemporary);
  if (begin == absl::string_view::npos) return false;
  const std::vector<absl::string_view> numbers = absl::StrSplit(name.substr(begin + kTemporary.size()), '-');
  return numbers.size() == 2 && std::all_of(numbers.begin(), numbers.end(), [](absl::string_view number) {
           return !number.empty() && std::all_of(number.begin(), number.end(), absl::ascii_isdigit);
         });
}

absl::Status AtomicFile::WithOwnName(const absl::Status& status) const {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrReplaceAll(status.message(), {{temporary_path_, path_}}));
}

absl::Status AtomicFile::Append(absl::Span<const std::byte> data) { return WithOwnName(file_->Append(data)); }

absl::Status AtomicFile::Append(absl::string_view text) {
  return Append(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(text.data()), text.size()));
}

absl::Status AtomicFile::Commit() {
  RETURN_IF_ERROR(WithOwnName(file_->Sync()));
  // Some file systems report a failed write only here.
  RETURN_IF_ERROR(WithOwnName(file_->Close()));
  RETURN_IF_ERROR(WithOwnName(files_->Rename(temporary_path_, path_)));
  temporary_path_.clear();
  return files_->SyncFolder(FolderOf(path_));
}

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t largest) {
  ASSIGN_OR_RETURN(const ReadableFile file, ReadableFile::Open(path));
  if (file.size() > largest) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has ", file.size(), " bytes; such a file has at most ", largest));
  }
  std::string contents(file.size(), '\0');
  RETURN_IF_ERROR(file.ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(contents.data()), contents.size())));
  return contents;
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view contents) {
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  RETURN_IF_ERROR(file.Append(contents));
  return file.Commit();
}

absl::Status CreateFolders(const std::string& path) { return RealFileSystem()->CreateFolders(path); }

}  // namespace arcshard
