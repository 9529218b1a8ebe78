#include "common/io/file_lock.h"

#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

namespace arcshard {
namespace {

// A look takes microseconds, unless its process is not let run in the middle of it: then it may take a while.
constexpr int kMostLooks = 10'000;
constexpr useconds_t kPause = 1000;  // µs

// flock() without waiting: 0 or errno.
int Lock(const FileDescriptor& fd, int operation) {
  int result;
  do {
    result = flock(fd.get(), operation | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

}  // namespace

FileLock TakeFileLock(const FileDescriptor& fd, const std::string& path, std::string* why) {
  int error = Lock(fd, LOCK_EX);
  // A lock that can be shared is that of a look.
  for (int looks = 0; error == EWOULDBLOCK && looks < kMostLooks && Lock(fd, LOCK_SH) == 0; ++looks) {
    usleep(kPause);
    error = Lock(fd, LOCK_EX);
  }
  if (error == 0) return FileLock::kTaken;
  // EACCES: where a network file system makes it a lock of another kind.
  if (error == EWOULDBLOCK || error == EACCES) return FileLock::kHeld;
  *why = std::string(ErrnoStatus(error, path, "this file system cannot lock it").message());
  return FileLock::kUnavailable;
}

bool NobodyHoldsFileLock(const FileDescriptor& fd) {
  if (Lock(fd, LOCK_SH) != 0) return false;
  Lock(fd, LOCK_UN);
  return true;
}

}  // namespace arcshard
