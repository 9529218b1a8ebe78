#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/base/failure_details.h"
#include "common/io/file.h"

namespace arcshard::cli {

// What the coordinator tells its parent through the pipe of --announce-fd: where it listens, and what of its failure
// the parent can act on. Not thread-safe.
class Announcement {
 public:
  // Makes the pipe. The result is the coordinator's end, to be closed here once the coordinator has been started.
  // Unavailable, ResourceExhausted: as the system says.
  absl::StatusOr<FileDescriptor> Open();

  // Readable when there is something for Read; -1 before Open and after the coordinator has closed its end.
  int fd() const { return from_.get(); }
  // Takes what has come; does not wait.
  void Read();

  const std::string& address() const { return address_; }  // host:port; empty: not known yet
  // Of a run that has failed, or of a coordinator that could not start one; nullopt: it has said nothing of the kind.
  const std::optional<FailureDetails>& failure() const { return failure_; }

 private:
  void TakeLine(absl::string_view line);

  FileDescriptor from_;
  std::string unread_;  // the beginning of a line
  std::string address_;
  std::optional<FailureDetails> failure_;
};

}  // namespace arcshard::cli
