#include "shard_server/head/gpu.h"

namespace arcshard::head {

int GpuCount() { return 0; }

absl::Status CheckGpu(int) {
  return absl::UnimplementedError("this build has no code for GPUs; build with cmake --preset cuda");
}

absl::StatusOr<std::vector<GpuInfo>> ListGpus() { return CheckGpu(0); }

absl::StatusOr<int64_t> FreeGpuBytes(int index) { return CheckGpu(index); }

absl::StatusOr<int64_t> UsedGpuBytes(int index) { return CheckGpu(index); }

absl::StatusOr<std::unique_ptr<Head>> CreateGpuHead(const HeadOptions& options) {
  return CheckGpu(options.device_index);
}

}  // namespace arcshard::head
