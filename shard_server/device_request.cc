#include "shard_server/device_request.h"

#include "absl/strings/str_cat.h"
#include "common/base/this_process.h"

namespace arcshard::shard {
namespace {

uint64_t DefaultCapacity(const head::GpuInfo& gpu) { return static_cast<uint64_t>(gpu.total_bytes / 10 * 9); }

}  // namespace

absl::StatusOr<DeviceRequest> RequestDevice(const DeviceName& device, const std::vector<head::GpuInfo>& gpus,
                                            const std::string& replica, bool share, int64_t capacity_bytes) {
  DeviceRequest request{.machine = MachineId(), .replica = replica, .devices = {}, .held = {}, .share = share};
  for (const head::GpuInfo& gpu : gpus) {
    if (!device.any && gpu.index != device.index) continue;
    const uint64_t capacity = capacity_bytes > 0 ? static_cast<uint64_t>(capacity_bytes) : DefaultCapacity(gpu);
    request.devices.push_back({gpu.uuid, gpu.name, capacity});
  }
  if (!request.devices.empty()) return request;
  return absl::NotFoundError(
      absl::StrCat("there is no ", ToString(device), ": this process sees ", gpus.size(), " CUDA devices"));
}

absl::StatusOr<head::GpuInfo> LeasedGpu(absl::string_view uuid, const std::vector<head::GpuInfo>& gpus) {
  for (const head::GpuInfo& gpu : gpus) {
    if (absl::string_view(gpu.uuid) == uuid) return gpu;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the coordinator leased GPU '", uuid, "', which this process does not see"));
}

}  // namespace arcshard::shard
