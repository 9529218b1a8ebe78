#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/policy/device_leases.h"

// Which replica had which GPU, beyond the coordinator's life: <run.folder>/devices.json.
namespace arcshard::coordinator {

// Empty where there is no such file. DataLoss: it is not what WriteDeviceMemory writes. Others: as the file system
// says.
absl::StatusOr<std::vector<DeviceMemory>> ReadDeviceMemory(const std::string& path);

absl::Status WriteDeviceMemory(const std::string& path, const std::vector<DeviceMemory>& memory);

}  // namespace arcshard::coordinator
