#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shard_server/head/head.h"

// What others ask of the GPU code. gpu_none.cc answers in a build without it.
namespace arcshard::head {

// A GPU of this machine.
struct GpuInfo {
  int index = 0;
  std::string uuid;         // "GPU-8a6ab3a3-...", as nvidia-smi has it
  std::string name;         // "NVIDIA H100 80GB HBM3"
  int64_t total_bytes = 0;  // of memory
};

// GPUs that this process can use: 0 in a build without GPU code, or where there is no driver.
int GpuCount();

// Unimplemented: this build has no code for GPUs. NotFound: this machine has no GPU `index`; says why or how many there
// are, and which driver.
absl::Status CheckGpu(int index);

// All that this process can use, by index. Errors as CheckGpu.
absl::StatusOr<std::vector<GpuInfo>> ListGpus();

// Bytes that are free on GPU `index` now. Errors as CheckGpu.
absl::StatusOr<int64_t> FreeGpuBytes(int index);

// Bytes that all processes together use of GPU `index` now. Errors as CheckGpu.
absl::StatusOr<int64_t> UsedGpuBytes(int index);

// The head on GPU options.device_index. `options` were checked. Errors as CheckGpu; ResourceExhausted: the device has
// less free memory than the head needs.
absl::StatusOr<std::unique_ptr<Head>> CreateGpuHead(const HeadOptions& options);

}  // namespace arcshard::head
