#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/device_name.h"
#include "common/base/mutex.h"
#include "common/protocol/messages.h"
#include "shard_server/head/gpu.h"

namespace arcshard::shard {

// The device that a shard computes on: the CPU, or a GPU that it asks the coordinator for and is leased.
// Thread-compatible, except gpu.
class DeviceLease {
 public:
  struct Options {
    DeviceName device;           // what to compute on
    bool share = false;          // the GPU may be leased to others that also share
    std::string name;            // the same after a restart; empty: the host's
    int64_t capacity_bytes = 0;  // memory to fill; 0 on a GPU: RequestDevice's default
    std::function<absl::StatusOr<std::vector<head::GpuInfo>>()> list_gpus;  // of this machine
  };

  explicit DeviceLease(Options options)
      : options_(std::move(options)), device_(options_.device), capacity_bytes_(options_.capacity_bytes) {}

  // Returns the request that a shard registers with; nullopt on the CPU. It asks for the GPU that was leased before, if
  // any. Errors of list_gpus and of RequestDevice.
  absl::StatusOr<std::optional<DeviceRequest>> Request();

  // Takes the GPU that the coordinator has leased; does nothing on the CPU, or if it is the one that was taken before.
  // InvalidArgument: the GPU is not visible. FailedPrecondition: another one was taken before.
  absl::Status Take(absl::string_view uuid);

  // After Take: the device, and the memory to fill on it.
  const DeviceName& device() const { return device_; }
  int64_t capacity_bytes() const { return capacity_bytes_; }

  // The number of the GPU that was leased; nullopt before that, and on the CPU. Any thread.
  std::optional<int> gpu() const {
    MutexLock lock(&mutex_);
    return gpu_;
  }

 private:
  const Options options_;
  std::vector<head::GpuInfo> gpus_;  // of this machine
  std::string leased_;               // uuid; empty: none yet
  DeviceName device_;
  int64_t capacity_bytes_;

  mutable Mutex mutex_;
  std::optional<int> gpu_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::shard
