#include <cuda_runtime_api.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "shard_server/head/cuda/cuda_check.h"
#include "shard_server/head/gpu.h"

namespace arcshard::head {
namespace {

// "13.0" for 13000, which is CUDA's notation.
std::string Version(int version) { return absl::StrCat(version / 1000, ".", version % 1000 / 10); }

// "the driver is for CUDA 12.4, this build is for CUDA 13.0".
std::string Driver() {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver == 0) return "no NVIDIA driver is installed";
  return absl::StrCat("the driver is for CUDA ", Version(driver), ", this build is for CUDA ", Version(runtime));
}

struct GpuMemory {
  size_t free = 0;
  size_t total = 0;
};

absl::StatusOr<GpuMemory> MemoryOf(int index) {
  RETURN_IF_ERROR(CheckGpu(index));
  RETURN_IF_ERROR(CUDA_STATUS(cudaSetDevice(index)));
  GpuMemory memory;
  RETURN_IF_ERROR(CUDA_STATUS(cudaMemGetInfo(&memory.free, &memory.total)));
  return memory;
}

// As nvidia-smi prints it: hexadecimal digits with a dash before the bytes 4, 6, 8 and 10.
std::string UuidOf(const cudaDeviceProp& properties) {
  std::string uuid = "GPU-";
  for (size_t i = 0; i < sizeof(properties.uuid.bytes); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) uuid += '-';
    absl::StrAppend(&uuid, absl::Hex(static_cast<unsigned char>(properties.uuid.bytes[i]), absl::kZeroPad2));
  }
  return uuid;
}

}  // namespace

int GpuCount() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

absl::Status CheckGpu(int index) {
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    cudaGetLastError();
    // Without a driver the runtime reports cudaErrorInsufficientDriver, as for a driver that is too old.
    const bool installed = error != cudaErrorInsufficientDriver;
    return absl::NotFoundError(absl::StrCat(
        "no CUDA device can be used: ", installed ? absl::StrCat(cudaGetErrorString(error), "; ") : "", Driver()));
  }
  if (index >= 0 && index < count) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("there is no CUDA device ", index, ": this machine has ", count,
                                          count == 1 ? " (cuda:0)" : ", numbered from 0", "; ", Driver()));
}

absl::StatusOr<std::vector<GpuInfo>> ListGpus() {
  RETURN_IF_ERROR(CheckGpu(0));
  std::vector<GpuInfo> gpus;
  for (int index = 0; index < GpuCount(); ++index) {
    cudaDeviceProp properties;
    RETURN_IF_ERROR(CUDA_STATUS(cudaGetDeviceProperties(&properties, index)));
    gpus.push_back({index, UuidOf(properties), properties.name, static_cast<int64_t>(properties.totalGlobalMem)});
  }
  return gpus;
}

absl::StatusOr<int64_t> FreeGpuBytes(int index) {
  ASSIGN_OR_RETURN(const GpuMemory memory, MemoryOf(index));
  return static_cast<int64_t>(memory.free);
}

absl::StatusOr<int64_t> UsedGpuBytes(int index) {
  ASSIGN_OR_RETURN(const GpuMemory memory, MemoryOf(index));
  return static_cast<int64_t>(memory.total - memory.free);
}

}  // namespace arcshard::head
