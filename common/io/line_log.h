#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "common/io/file.h"

namespace arcshard {

// A text file that grows by whole lines, such as logs/samples-worker-0.jsonl: what is appended is with the system when
// Append returns. Whoever opens an older one goes on behind its last line, even if that was cut off. What cannot be
// written is lost, with one warning in the log; whoever writes goes on. Not thread-safe.
class LineLog {
 public:
  // consequence: the end of the warning, such as "the run goes on, but its report will have gaps".
  LineLog(std::string path, std::string consequence);

  // One line or several, each with its '\n'. The file is created with the first.
  void Append(absl::string_view lines);

  bool complete() const { return !warned_; }  // whether all so far was written

 private:
  const std::string path_;
  const std::string consequence_;
  FileDescriptor file_;
  std::string repaired_;
  bool torn_ = false;  // the file ends within a line
  bool warned_ = false;
};

}  // namespace arcshard
