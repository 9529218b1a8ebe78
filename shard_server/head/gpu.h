#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shard_server/head/head.h"

// The interface of the GPU code. gpu_none.cc implements it in a build without GPU support.
namespace arcshard::head {

// A GPU of this machine.
struct GpuInfo {
  int index = 0;
  std::string uuid;         // "GPU-8a6ab3a3-...", as nvidia-smi prints it
  std::string name;         // "NVIDIA H100 80GB HBM3"
  int64_t total_bytes = 0;  // memory
};

// The number of GPUs that this process can use: 0 in a build without GPU support or on a machine without a driver.
int GpuCount();

// OK if this process can use GPU `index`. Unimplemented: this build has no code for GPUs. NotFound: this machine has no
// GPU `index`; the message says why, or how many there are, and names the driver's version.
absl::Status CheckGpu(int index);

// All GPUs that this process can use, by index. Errors as CheckGpu.
absl::StatusOr<std::vector<GpuInfo>> ListGpus();

// The free memory of GPU `index`. Errors as CheckGpu.
absl::StatusOr<int64_t> FreeGpuBytes(int index);

// The memory of GPU `index` that all processes together use. Errors as CheckGpu.
absl::StatusOr<int64_t> UsedGpuBytes(int index);

// Creates a head on GPU options.device_index. Requires options that CheckOptions accepts. Errors as CheckGpu;
// ResourceExhausted: the device has less free memory than the head needs.
absl::StatusOr<std::unique_ptr<Head>> CreateGpuHead(const HeadOptions& options);

}  // namespace arcshard::head
