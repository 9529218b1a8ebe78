#include "common/program/standard_output.h"

#include <cerrno>
#include <cstdio>

#include "common/io/file.h"

namespace arcshard {

absl::Status FlushStandardOutput() {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  const int error = errno;
  if (flushed && std::ferror(stdout) == 0) return absl::OkStatus();
  return ErrnoStatus(error != 0 ? error : EIO, "stdout", "what was printed could not be written");
}

}  // namespace arcshard
