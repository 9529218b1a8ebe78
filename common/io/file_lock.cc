#include "common/io/file_lock.h"

#include <sys/file.h>

#include <cerrno>

namespace arcshard {

FileLock TakeFileLock(const FileDescriptor& fd, const std::string& path, std::string* why) {
  int result;
  do {
    result = flock(fd.get(), LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return FileLock::kTaken;
  // EACCES: where a network file system makes it a lock of another kind.
  if (errno == EWOULDBLOCK || errno == EACCES) return FileLock::kHeld;
  *why = std::string(ErrnoStatus(errno, path, "this file system cannot lock it").message());
  return FileLock::kUnavailable;
}

}  // namespace arcshard
