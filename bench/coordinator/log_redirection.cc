#include "bench/coordinator/log_redirection.h"

#include <unistd.h>

#include <cerrno>

#include "common/base/status_macros.h"

namespace arcshard::bench {

absl::StatusOr<LogRedirection> LogRedirection::To(const std::string& path) {
  ASSIGN_OR_RETURN(const FileDescriptor file, OpenToAppend(path));
  FileDescriptor before(::dup(STDERR_FILENO));
  if (!before.valid() || ::dup2(file.get(), STDERR_FILENO) < 0) {
    return ErrnoStatus(errno, path, "cannot take the log");
  }
  return LogRedirection(std::move(before));
}

LogRedirection::~LogRedirection() {
  if (before_.valid()) ::dup2(before_.get(), STDERR_FILENO);
}

}  // namespace arcshard::bench
