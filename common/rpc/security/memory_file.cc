#include "common/rpc/security/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard {

absl::StatusOr<std::unique_ptr<MemoryFile>> MemoryFile::Create(absl::string_view contents) {
  auto file = absl::WrapUnique(new MemoryFile());
  ASSIGN_OR_RETURN(file->fd_, file->Prepare(contents));
  file->path_ = absl::StrCat("/proc/self/fd/", file->fd_.get());
  return file;
}

absl::StatusOr<FileDescriptor> MemoryFile::Prepare(absl::string_view contents) {
  FileDescriptor version(memfd_create("arcshard", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!version.valid()) return ErrnoStatus(errno, "memfd_create", "cannot keep a file in memory");
  while (!contents.empty()) {
    const ssize_t written = write(version.get(), contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return ErrnoStatus(errno, "memfd", "cannot keep a file in memory");
    contents.remove_prefix(static_cast<size_t>(written));
  }
  const timespec version_as_time = {.tv_sec = ++versions_, .tv_nsec = 0};
  const timespec times[2] = {version_as_time, version_as_time};
  futimens(version.get(), times);
  fcntl(version.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  return version;
}

void MemoryFile::Publish(FileDescriptor version) { dup3(version.get(), fd_.get(), O_CLOEXEC); }

}  // namespace arcshard
