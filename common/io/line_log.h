#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/io/file.h"

namespace arcshard {

// A text file that grows by whole lines, such as logs/samples-worker-0.jsonl. When Append returns the operating system
// has the lines. An existing file is continued after its last line, even if that line was cut off. Lines that cannot be
// written are lost: LineLog logs one warning and the caller continues. A file that is deleted or renamed meanwhile is
// begun again, with a warning. No symbolic link is followed. Not thread-safe.
class LineLog {
 public:
  // consequence: the end of the warning, such as "the run continues, but its report will have gaps".
  LineLog(std::string path, std::string consequence);

  // Appends one or more lines, each ending in '\n'. The first call creates the file if it does not exist.
  void Append(absl::string_view lines);

  bool complete() const { return !warned_; }  // whether all lines so far are in the file

 private:
  absl::Status Open();
  absl::Status Write(absl::string_view lines);
  void Warn(const absl::Status& status);

  const std::string path_;
  const std::string consequence_;
  FileDescriptor file_;
  std::string repaired_;
  bool torn_ = false;  // the file ends within a line
  bool warned_ = false;
};

}  // namespace arcshard
