#include "shard_server/device_lease.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/io/log.h"
#include "shard_server/device_request.h"

namespace arcshard::shard {

absl::StatusOr<std::optional<DeviceRequest>> DeviceLease::Request() {
  if (!options_.device.cuda) return std::nullopt;
  ASSIGN_OR_RETURN(gpus_, options_.list_gpus());
  const std::string replica = options_.name.empty() ? HostName() : options_.name;
  ASSIGN_OR_RETURN(DeviceRequest request,
                   RequestDevice(options_.device, gpus_, replica, options_.share, options_.capacity_bytes));
  request.held = leased_;
  return request;
}

absl::Status DeviceLease::Take(absl::string_view uuid) {
  if (!options_.device.cuda || (!leased_.empty() && uuid == absl::string_view(leased_))) return absl::OkStatus();
  if (!leased_.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the coordinator leased GPU '", uuid, "', but this process holds its classes on '", leased_, "'"));
  }
  ASSIGN_OR_RETURN(const head::GpuInfo leased, LeasedGpu(uuid, gpus_));
  leased_ = leased.uuid;
  device_.index = leased.index;
  ASSIGN_OR_RETURN(const DeviceRequest alone,
                   RequestDevice({.cuda = true, .index = leased.index}, gpus_, "", false, options_.capacity_bytes));
  capacity_bytes_ = static_cast<int64_t>(alone.devices.front().capacity_bytes);
  LogInfo(absl::StrCat("computes on ", ToString(device_), ", which is ", leased.uuid, " (", leased.name, ")"));
  MutexLock lock(&mutex_);
  gpu_ = leased.index;
  return absl::OkStatus();
}

}  // namespace arcshard::shard
