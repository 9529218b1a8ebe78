#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/policy/device_leases.h"

// <run.folder>/devices.json keeps the history of leases for the coordinator's later lives.
namespace arcshard::coordinator {

// Empty if there is no such file. DataLoss: the file is not one that WriteLeaseHistory has written. Other errors are
// the file system's.
absl::StatusOr<LeaseHistory> ReadLeaseHistory(const std::string& path);

absl::Status WriteLeaseHistory(const std::string& path, const LeaseHistory& history);

}  // namespace arcshard::coordinator
