#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/io/file.h"

namespace arcshard::bench {

// Sends this process's log, which goes to stderr, to a file for as long as it lives. One at a time.
class LogRedirection {
 public:
  // Errors are those of the file.
  static absl::StatusOr<LogRedirection> To(const std::string& path);
  LogRedirection(LogRedirection&&) = default;
  ~LogRedirection();

 private:
  explicit LogRedirection(FileDescriptor before) : before_(std::move(before)) {}

  FileDescriptor before_;  // stderr's; invalid: moved from
};

}  // namespace arcshard::bench
