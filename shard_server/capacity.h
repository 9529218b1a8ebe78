#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/base/device_name.h"

namespace arcshard::shard {

// Bytes that a shard on `device` may fill where nobody says: half of this machine's memory, or of its control group's
// if that is less; of a GPU, nine tenths of what is free on it now. Errors: head::CheckGpu's.
absl::StatusOr<int64_t> DefaultCapacityBytes(const DeviceName& device);

}  // namespace arcshard::shard
