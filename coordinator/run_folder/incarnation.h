#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/io/file.h"

namespace arcshard::coordinator {

// Counts the coordinator's starts in a run's folder; this is one of them. While it exists no other coordinator can take
// the folder: two at once would have the same number, and their views could not be told apart.
class Incarnation {
 public:
  // Creates the folder if it is missing. On success the new number is durable in <folder>/incarnation.
  // FailedPrecondition: another coordinator uses the folder.
  // DataLoss: <folder>/incarnation does not hold a number.
  // Other errors are the file system's.
  static absl::StatusOr<std::unique_ptr<Incarnation>> Take(const std::string& folder);

  uint64_t number() const { return number_; }  // counts from 1

  // Whether the folder is still this incarnation's, by the number in it. Whatever writes there asks first: where the
  // file system has no locks, a coordinator that was cut off or stopped for a while may find another one at work.
  // FailedPrecondition: there is a later start. Other errors are the file system's. Thread-safe.
  absl::Status Fence() const;

  // Call it every now and then: the files may be deleted while the run is in progress, and the lock then protects
  // nothing. OK: the folder is this incarnation's; a lock whose file was deleted was taken again. Otherwise the run
  // must end:
  //   DataLoss            the folder was deleted or emptied. It has been made again, with lock and number, so that the
  //                       last state can be kept there.
  //   FailedPrecondition  another coordinator has the folder now (Fence), so nothing may be written there.
  // Other errors are the file system's.
  absl::Status Guard();

 private:
  Incarnation(std::string folder, FileDescriptor lock, uint64_t number);

  const std::string folder_;
  FileDescriptor lock_;  // holds the flock as long as it is open
  const uint64_t number_;
};

}  // namespace arcshard::coordinator
