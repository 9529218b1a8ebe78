#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/device_name.h"
#include "common/protocol/messages.h"
#include "shard_server/head/gpu.h"

namespace arcshard::shard {

// Makes the request of a shard that computes on a GPU: for any of `gpus`, the GPUs of this machine, or for the one with
// the number in `device`. `replica`: see DeviceRequest. `capacity_bytes`: the memory that the shard fills; 0: nine
// tenths of the GPU's memory, which leaves the rest to a batch's buffers. NotFound: there is no such GPU.
absl::StatusOr<DeviceRequest> RequestDevice(const DeviceName& device, const std::vector<head::GpuInfo>& gpus,
                                            const std::string& replica, bool share, int64_t capacity_bytes);

// Returns the GPU that the coordinator leased. InvalidArgument: it is not among `gpus`.
absl::StatusOr<head::GpuInfo> LeasedGpu(absl::string_view uuid, const std::vector<head::GpuInfo>& gpus);

}  // namespace arcshard::shard
