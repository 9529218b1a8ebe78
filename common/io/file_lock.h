#pragma once

#include <string>

#include "common/io/file.h"

namespace arcshard {

enum class FileLock {
  kTaken,        // by this process; it ends with the descriptor
  kHeld,         // by another process
  kUnavailable,  // the file system has no locks (Lustre, FUSE, NFS): nothing keeps another process out
};

// Takes an exclusive lock on the open file or folder `fd`, without waiting. A lock only guards against mistakes, so a
// file system without locks is no error; the caller goes on. `why`: the reason of kUnavailable, a sentence that begins
// with `path`.
FileLock TakeFileLock(const FileDescriptor& fd, const std::string& path, std::string* why);

// Whether certainly nobody holds that lock; false where the file system has no locks. A process that takes the lock at
// the same moment is not refused because of the look.
bool NobodyHoldsFileLock(const FileDescriptor& fd);

}  // namespace arcshard
