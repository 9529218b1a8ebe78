#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/failure_details.h"
#include "common/io/file.h"

namespace arcshard::cli {

// Reads the pipe of --announce-fd, through which a coordinator reports to its parent: the address that it listens on,
// and the details of a failure (FailureDetails). Not thread-safe.
class Announcement {
 public:
  // Makes the pipe, and forgets what an earlier life of the coordinator has said. Returns the coordinator's end, which
  // the caller closes once the coordinator has been started. Errors are those of pipe(2).
  absl::StatusOr<FileDescriptor> Open();

  // Readable when Read has something to read; -1 before Open and once Read has seen the coordinator's end closed.
  int fd() const { return from_.get(); }
  // Reads what has arrived; does not wait.
  void Read();
  // Reads until the address is known. False: the coordinator has closed its end, or `patience` is over.
  bool AwaitAddress(const Clock& clock, absl::Duration patience);

  const std::string& address() const { return address_; }  // host:port; empty: not known yet
  // Why the run has failed, or why the coordinator could not start it; nullopt: no failure was announced.
  const std::optional<FailureDetails>& failure() const { return failure_; }

 private:
  void TakeLine(absl::string_view line);

  FileDescriptor from_;
  std::string unread_;  // an incomplete line
  std::string address_;
  std::optional<FailureDetails> failure_;
};

}  // namespace arcshard::cli
