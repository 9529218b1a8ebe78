#include <cuda_runtime_api.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "shard_server/head/cuda_check.h"
#include "shard_server/head/cuda_head.h"
#include "shard_server/head/gpu.h"

namespace arcshard::head {
namespace {

// "13.0" of CUDA's 13000.
std::string Version(int version) { return absl::StrCat(version / 1000, ".", version % 1000 / 10); }

std::string Driver() {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  return absl::StrCat(driver == 0 ? "no driver is installed" : absl::StrCat("the driver is for CUDA ", Version(driver)),
                      ", this build is for CUDA ", Version(runtime));
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
    return absl::NotFoundError(absl::StrCat("no CUDA device can be used: ", cudaGetErrorString(error), "; ", Driver()));
  }
  if (index >= 0 && index < count) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("there is no CUDA device ", index, ": this machine has ", count,
                                          count == 1 ? " (cuda:0)" : ", numbered from 0", "; ", Driver()));
}

absl::StatusOr<int64_t> FreeGpuBytes(int index) {
  RETURN_IF_ERROR(CheckGpu(index));
  RETURN_IF_ERROR(CUDA_STATUS(cudaSetDevice(index)));
  size_t free = 0, total = 0;
  RETURN_IF_ERROR(CUDA_STATUS(cudaMemGetInfo(&free, &total)));
  return static_cast<int64_t>(free);
}

absl::StatusOr<std::unique_ptr<Head>> CreateGpuHead(const HeadOptions& options) { return CudaHead::Create(options); }

}  // namespace arcshard::head
