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

// What a shard on a GPU asks the coordinator for: one of all `gpus` of this machine if any will do, else the one of
// that number. `replica`: DeviceRequest's. `capacity_bytes`: what it would fill; 0: nine tenths of the GPU's memory,
// the rest being for a batch's buffers. NotFound: there is no such GPU.
absl::StatusOr<DeviceRequest> RequestDevice(const DeviceName& device, const std::vector<head::GpuInfo>& gpus,
                                            const std::string& replica, bool share, int64_t capacity_bytes);

// The GPU that the coordinator leased. InvalidArgument: it is none of `gpus`.
absl::StatusOr<head::GpuInfo> LeasedGpu(absl::string_view uuid, const std::vector<head::GpuInfo>& gpus);

}  // namespace arcshard::shard
