#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/io/file.h"

namespace arcshard::coordinator {

// This start of the coordinator, among all of its starts in a run's folder. While it lives no other coordinator takes
// the folder: two at once would count the same number and their views could not be told apart.
class Incarnation {
 public:
  // Creates the folder when it is missing; on success the new number is durable in <folder>/incarnation.
  // FailedPrecondition: another coordinator lives in the folder.
  // DataLoss: <folder>/incarnation holds no number.
  // Others: as the file system says.
  static absl::StatusOr<std::unique_ptr<Incarnation>> Take(const std::string& folder);

  uint64_t number() const { return number_; }  // from 1

 private:
  Incarnation(FileDescriptor lock, uint64_t number);

  const FileDescriptor lock_;  // flock lasts as long as it is open
  const uint64_t number_;
};

}  // namespace arcshard::coordinator
