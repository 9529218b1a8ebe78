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

 private:
  Incarnation(FileDescriptor lock, uint64_t number);

  const FileDescriptor lock_;  // holds the flock as long as it is open
  const uint64_t number_;
};

}  // namespace arcshard::coordinator
